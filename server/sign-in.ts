/**
 * What a coordinator says to the first words of a participant: hello, identify, join. Its signatures stand on everything that the
 * participant will rely on (SPEC.md §5); what it checks of the participant it checks before anything is admitted.
 */
import { TacitError } from '../protocol/errors.ts';
import { authStatement, type Handshake, verifyStatement, welcomeStatement } from '../protocol/identity.ts';
import { type Capabilities, type ClientMessageOf, PROTOCOL_VERSION } from '../protocol/messages.ts';
import { suitesOf } from '../protocol/plan-privacy.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import type { Federation } from './federation.ts';
import type { Reply } from './requests.ts';

export const SUPPORTED_VERSIONS: readonly number[] = [PROTOCOL_VERSION];

/** A participant that has been greeted, and not yet said who it is. */
export interface Greeted {
  readonly handshake: Handshake;
  readonly capabilities: Capabilities;
}

/** How far a run has come. */
export interface RunStanding {
  readonly round: number;
  readonly head: Uint8Array;
  readonly finished: boolean;
}

/** @throws TacitError wire/unsupported-version */
export async function greet(
  { crypto, identity, plan }: Federation,
  message: ClientMessageOf<'hello'>,
): Promise<{ readonly handshake: Handshake; readonly reply: Reply }> {
  const version = SUPPORTED_VERSIONS.filter((known) => message.versions.includes(known)).sort((a, b) => b - a)[0];
  if (version === undefined) {
    throw new TacitError('wire/unsupported-version', `versions ${SUPPORTED_VERSIONS.join(', ')} are spoken here`);
  }
  const handshake: Handshake = {
    versions: message.versions,
    version,
    clientNonce: message.nonce,
    serverNonce: crypto.randomBytes(32),
    serverKey: identity.publicKey,
    task: plan.task,
  };
  const signature = await identity.sign(welcomeStatement(handshake));
  const { serverKey, serverNonce: nonce, task } = handshake;
  return {
    handshake,
    reply: { message: { type: 'welcome', re: message.id, version, serverKey, nonce, task, signature } },
  };
}

/** @throws TacitError auth/bad-signature, auth/certificate-required, auth/certificate-invalid, wire/no-common-suite */
export async function checkIdentity(
  { federation, checkCertificate }: { federation: Federation; checkCertificate: CertificateCheck | undefined },
  { handshake, capabilities }: Greeted,
  { identity, signature, certificate }: ClientMessageOf<'identify'>,
): Promise<void> {
  const { crypto, plan } = federation;
  await verifyStatement(crypto, identity, authStatement(handshake, identity), signature);
  await checkCertificate?.(identity, certificate);
  const suites = suitesOf(plan);
  if (suites.length > 0 && !suites.some((suite) => capabilities.suites.includes(suite))) {
    throw new TacitError('wire/no-common-suite', `the plan admits ${suites.join(', ')} only`);
  }
}

/** @throws TacitError wire/unexpected for another task */
export function joined(
  federation: Federation,
  { round, head, finished }: RunStanding,
  message: ClientMessageOf<'join'>,
): Reply {
  const { plan, planRef, planSignature, aggregator, aggregatorSignature } = federation;
  if (message.task !== plan.task) {
    throw new TacitError('wire/unexpected', `there is no task "${message.task}" here, only "${plan.task}"`);
  }
  return {
    message: {
      type: 'joined',
      re: message.id,
      planHash: planRef.hash,
      planBytes: planRef.bytes,
      planSignature,
      aggregatorKey: aggregator.publicKey,
      aggregatorSignature,
      round,
      head,
      finished,
    },
  };
}
