/**
 * A participant's look at its own certificate, before the coordinator sees it: the same checks as there (SPEC.md CE2), each with
 * words that say what to do about it.
 */
import { equalBytes, toBase64Url } from '../protocol/bytes.ts';
import {
  type Certificate,
  certificateMarginSeconds,
  decodeCertificate,
  operatorKeyOf,
  verifyCertificate,
} from '../protocol/certificate.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Identity } from '../protocol/identity.ts';
import type { Plan } from '../protocol/plan.ts';

const wrong = (message: string, hint: string): TacitError =>
  new TacitError('auth/certificate-invalid', message, { hint });

const dayOf = (seconds: number): string => {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? 'a day beyond the calendar' : date.toISOString().slice(0, 10);
};

/** What can be said without the plan: whose certificate it is, and that it still holds. @throws TacitError auth/certificate-invalid */
export function checkOwnership(bytes: Uint8Array, identity: Identity, nowSeconds: number): Certificate {
  const { certificate } = decodeCertificate(bytes);
  if (!equalBytes(certificate.identity, identity.publicKey)) {
    throw wrong(
      `This certificate is for another key (${toBase64Url(certificate.identity)}) than the one here (${identity.id}).`,
      'Ask the operator for a certificate of the key that is here, or use the key that was certified.',
    );
  }
  if (nowSeconds > certificate.notAfter) {
    throw wrong(`This certificate expired on ${dayOf(certificate.notAfter)}.`, 'Ask the operator for a new one.');
  }
  return certificate;
}

/** The certificate in plain words. */
export const certificateWords = ({ tasks, notAfter }: Certificate): string =>
  `It certifies your key for ${tasks.join(', ')}, until ${dayOf(notAfter)}.`;

/**
 * Whether a certificate lets `identity` take part under `plan`, which requires one.
 * @throws TacitError auth/certificate-invalid, plan/refused
 */
export async function checkOwnCertificate(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  { plan, identity, nowSeconds }: { readonly plan: Plan; readonly identity: Identity; readonly nowSeconds: number },
): Promise<Certificate> {
  const certificate = checkOwnership(bytes, identity, nowSeconds);
  const { task } = plan;
  if (!certificate.tasks.includes(task)) {
    throw wrong(
      `This certificate is for ${certificate.tasks.join(', ')}, not for ${task}.`,
      `Ask the operator for one that names the task ${task}.`,
    );
  }
  if (nowSeconds + certificateMarginSeconds(plan) > certificate.notAfter) {
    throw wrong('This certificate expires before a round could end.', 'Ask the operator for a new one.');
  }
  const operatorKey = operatorKeyOf(plan);
  if (!operatorKey) return certificate;
  const use = { operatorKey, identity: identity.publicKey, task, nowSeconds };
  return verifyCertificate(crypto, bytes, use).catch((cause: unknown) => {
    throw new TacitError(
      'auth/certificate-invalid',
      `This certificate is not signed by the plan's operator (${plan.admission.operatorKey}).`,
      { hint: 'It is of another operator, or was changed on its way: ask the operator that the plan names.', cause },
    );
  });
}
