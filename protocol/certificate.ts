/**
 * Certificates: the operator's word that a key belongs to a participant it knows (SPEC.md §4.5). The operator's key is kept apart
 * from the coordinator, which can then invent no participants. Bytes: canon(cert, …) ‖ 64-byte signature over it.
 */
import { concat, equalBytes, fromBase64Url, fromUtf8, toHex } from './bytes.ts';
import { canon, decodeCanon, fixed, identifier, list, u64 } from './canon.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import { IDENTIFIER } from './ids.ts';
import type { Plan } from './plan.ts';
import type { CertificateCheck } from './secagg/contracts.ts';

const SIGNATURE_BYTES = 64;
const MAX_TASKS = 8;

export interface Certificate {
  /** The participant's raw Ed25519 public key. */
  readonly identity: Uint8Array;
  /** The tasks that it may join, at most 8. */
  readonly tasks: readonly string[];
  /** Seconds since 1970-01-01T00:00:00Z after which it no longer holds. */
  readonly notAfter: number;
  readonly nonce: Uint8Array;
}

const invalid = (what: string): TacitError => new TacitError('auth/certificate-invalid', `certificate: ${what}`);

/** What the operator's key signs. */
export const certificateStatement = (certificate: Certificate): Uint8Array =>
  canon(
    'cert',
    fixed(32, certificate.identity),
    list('tasks', certificate.tasks.map(identifier)),
    u64(certificate.notAfter),
    fixed(32, certificate.nonce),
  );

const LONGEST_TASK = 64;
/** No certificate that verifies is longer. */
export const MAX_CERTIFICATE_BYTES =
  certificateStatement({
    identity: new Uint8Array(32),
    tasks: Array<string>(MAX_TASKS).fill('a'.repeat(LONGEST_TASK)),
    notAfter: 0,
    nonce: new Uint8Array(32),
  }).length + SIGNATURE_BYTES;

/** The bytes that travel in `identify`. `sign` is the operator key's. */
export async function issueCertificate(
  sign: (statement: Uint8Array) => Promise<Uint8Array>,
  certificate: Certificate,
): Promise<Uint8Array> {
  if (certificate.tasks.length < 1 || certificate.tasks.length > MAX_TASKS) throw invalid(`1 to ${MAX_TASKS} tasks`);
  const statement = certificateStatement(certificate);
  return concat(statement, fixed(SIGNATURE_BYTES, await sign(statement)));
}

function readTasks(field: Uint8Array): string[] {
  const tasks = decodeCanon('tasks', field).map((task) => fromUtf8(task));
  if (tasks.length < 1 || tasks.length > MAX_TASKS || !tasks.every((task) => IDENTIFIER.test(task))) {
    throw invalid('its tasks');
  }
  return tasks;
}

/** Reads a certificate without verifying it. @throws TacitError auth/certificate-invalid */
export function decodeCertificate(bytes: Uint8Array): { certificate: Certificate; signature: Uint8Array } {
  const end = bytes.length - SIGNATURE_BYTES;
  try {
    const fields = decodeCanon('cert', bytes.subarray(0, Math.max(0, end)));
    const [identity, tasks, notAfter, nonce] = fields;
    if (fields.length !== 4 || !identity || !tasks || !notAfter || !nonce) throw invalid('its fields');
    if (identity.length !== 32 || notAfter.length !== 8 || nonce.length !== 32) throw invalid('its fields');
    const seconds = new DataView(notAfter.buffer, notAfter.byteOffset).getBigUint64(0, true);
    if (seconds > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('its date');
    const certificate = { identity, tasks: readTasks(tasks), notAfter: Number(seconds), nonce };
    return { certificate, signature: bytes.slice(end) };
  } catch (cause) {
    if (cause instanceof TacitError && cause.code === 'auth/certificate-invalid') throw cause;
    throw new TacitError('auth/certificate-invalid', 'certificate: not well formed', { cause });
  }
}

/** What a certificate must be good for. */
export interface CertificateUse {
  readonly operatorKey: Uint8Array;
  readonly identity: Uint8Array;
  readonly task: string;
  readonly nowSeconds: number;
  /** How long it must hold from now on; default 0. */
  readonly marginSeconds?: number;
}

/** @throws TacitError auth/certificate-invalid unless the operator signed it for this key and task and it has not expired */
export async function verifyCertificate(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  use: CertificateUse,
): Promise<Certificate> {
  const { certificate, signature } = decodeCertificate(bytes);
  if (!equalBytes(certificate.identity, use.identity)) throw invalid('for another participant');
  if (!certificate.tasks.includes(use.task)) throw invalid('for another task');
  const { nowSeconds, marginSeconds = 0 } = use;
  if (nowSeconds > certificate.notAfter) throw invalid('expired');
  if (nowSeconds + marginSeconds > certificate.notAfter) throw invalid(`expires within ${marginSeconds} s`);
  if (!(await crypto.ed25519Verify(use.operatorKey, certificateStatement(certificate), signature))) {
    throw invalid('not signed by the operator');
  }
  return certificate;
}

/** The operator's key, when the plan admits participants with a certificate only. @throws TacitError plan/refused */
export function operatorKeyOf({ admission }: Plan): Uint8Array | undefined {
  if (admission.certificates === 'none') return undefined;
  try {
    const key = fromBase64Url(admission.operatorKey ?? '');
    if (key.length === 32) return key;
  } catch {
    // Falls through to the one message for all that is wrong with it.
  }
  throw new TacitError(
    'plan/refused',
    'certificates are required, but operatorKey is not an Ed25519 key in base64url',
    {
      where: 'admission.operatorKey',
      hint: 'It is the 43 characters that `tacit keygen` prints as "participant" for the operator’s key.',
    },
  );
}

/**
 * How long a certificate must hold when it is shown to the coordinator: participants look at those of all others once training is over,
 * and one that has expired by then would make each of them refuse the whole roster.
 */
export const certificateMarginSeconds = ({ rounds: { recruitMs, trainMs } }: Plan): number =>
  Math.ceil((recruitMs + trainMs) / 1000);

const MAX_REMEMBERED = 10_000;

/**
 * How the certificates of a plan's participants are checked; undefined where everyone may join. A certificate that has been found
 * good is only looked at for its date again.
 * @param marginSeconds how long a certificate must hold from now on
 */
export function certificateCheckOf(
  crypto: CryptoProvider,
  plan: Plan,
  nowSeconds: () => number,
  marginSeconds = 0,
): CertificateCheck | undefined {
  const operatorKey = operatorKeyOf(plan);
  if (!operatorKey) return undefined;
  const good = new Map<string, number>();
  return async (identity, bytes) => {
    const key = `${toHex(identity)}/${toHex(bytes)}`;
    const notAfter = good.get(key);
    if (notAfter !== undefined && nowSeconds() + marginSeconds <= notAfter) return;
    if (bytes.length === 0) throw new TacitError('auth/certificate-required', 'a participant without a certificate');
    const use = { operatorKey, identity, task: plan.task, nowSeconds: nowSeconds(), marginSeconds };
    const certificate = await verifyCertificate(crypto, bytes, use);
    if (good.size >= MAX_REMEMBERED) good.clear();
    good.set(key, certificate.notAfter);
  };
}
