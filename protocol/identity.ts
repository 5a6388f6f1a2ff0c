/**
 * Who speaks, and the exact bytes that are signed (SPEC.md §4.2, §4.3). Every statement of protocol v1 is laid out here and nowhere
 * else; a signature is pure Ed25519 over these bytes.
 */
import { toBase64Url } from './bytes.ts';
import { canon, fixed, identifier, list, text, u8, u32, u64 } from './canon.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import type { Fingerprint, ParticipantId } from './ids.ts';
import type { CommitRecord, ExchangeStart, Offer } from './messages.ts';

/** An Ed25519 key that can sign; the secret stays inside. */
export interface Identity {
  readonly publicKey: Uint8Array;
  readonly id: ParticipantId;
  sign(statement: Uint8Array): Promise<Uint8Array>;
}

/** The id of a participant: its raw public key as unpadded base64url. */
export const participantId = (publicKey: Uint8Array): ParticipantId =>
  toBase64Url(fixed(32, publicKey)) as ParticipantId;

/** An identity from a 32-byte seed, kept in this process's memory. */
export async function identityFromSeed(crypto: CryptoProvider, seed: Uint8Array): Promise<Identity> {
  const { publicKey, secretKey } = await crypto.ed25519KeyPair(seed);
  return {
    publicKey,
    id: participantId(publicKey),
    sign: (statement) => crypto.ed25519Sign(secretKey, statement),
  };
}

/** SHA-256 of the coordinator's raw public key, as unpadded base64url: what participants pin. */
export async function fingerprintOf(crypto: CryptoProvider, serverKey: Uint8Array): Promise<Fingerprint> {
  return toBase64Url(await crypto.sha256(fixed(32, serverKey))) as Fingerprint;
}

const hash = (bytes: Uint8Array): Uint8Array => fixed(32, bytes);

/** What both sides know once `hello` and `welcome` have crossed. */
export interface Handshake {
  /** As offered in `hello`, in that order. */
  readonly versions: readonly number[];
  readonly version: number;
  readonly clientNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  readonly serverKey: Uint8Array;
  readonly task: string;
}

const handshakeFields = (h: Handshake): Uint8Array[] => [
  list('versions', h.versions.map(u8)),
  u8(h.version),
  fixed(32, h.clientNonce),
  fixed(32, h.serverNonce),
  fixed(32, h.serverKey),
  identifier(h.task),
];

/** Signed by the coordinator in `welcome`. Covers the offered versions, so that nobody between can strike one out. */
export const welcomeStatement = (handshake: Handshake): Uint8Array => canon('welcome', ...handshakeFields(handshake));

/** Signed by the participant in `identify`; bound to this coordinator's key and both nonces. */
export const authStatement = (handshake: Handshake, identity: Uint8Array): Uint8Array =>
  canon('auth', ...handshakeFields(handshake), fixed(32, identity));

/** Signed by the coordinator in `joined`. */
export const planStatement = (task: string, planHash: Uint8Array): Uint8Array =>
  canon('plan', identifier(task), hash(planHash));

/** Signed by the coordinator in `joined`: the X25519 key that reports are sealed to. */
export const aggregatorStatement = (task: string, aggregatorKey: Uint8Array): Uint8Array =>
  canon('aggregator', identifier(task), fixed(32, aggregatorKey));

/** Signed by the coordinator in `offer`; its SHA-256 is the offer's hash. */
export const offerStatement = (offer: Offer): Uint8Array =>
  canon(
    'offer',
    u8(offer.v),
    identifier(offer.task),
    u32(offer.round),
    u32(offer.attempt),
    u32(offer.modelVersion),
    hash(offer.modelHash),
    hash(offer.planHash),
    text(offer.kind),
    fixed(32, offer.nonce),
  );

export const offerHashOf = (crypto: CryptoProvider, offer: Offer): Promise<Uint8Array> =>
  crypto.sha256(offerStatement(offer));

/** Signed by the coordinator in `exchange`: which blobs this exchange starts from. */
export const exchangeStatement = (exchange: Omit<ExchangeStart, 'signature'>): Uint8Array =>
  canon(
    'exchange',
    hash(exchange.offerHash),
    u8(exchange.index),
    list(
      'blobs',
      exchange.blobs.map((blob) => canon('blob', identifier(blob.name), hash(blob.hash), u64(blob.bytes))),
    ),
  );

/** Signed by the participant in `commit`: the bytes that it uploaded. */
export const uploadStatement = (upload: {
  readonly offerHash: Uint8Array;
  readonly exchange: number;
  readonly hash: Uint8Array;
  readonly bytes: number;
}): Uint8Array => canon('upload', hash(upload.offerHash), u8(upload.exchange), hash(upload.hash), u64(upload.bytes));

/** Signed by the coordinator in `committed`: one link of the transcript. The session of a sealed round is its offer's hash. */
export const commitStatement = (commit: Omit<CommitRecord, 'signature'>): Uint8Array =>
  canon(
    'commit',
    hash(commit.offerHash),
    u32(commit.participants),
    hash(commit.aggregateHash),
    hash(commit.modelHash),
    hash(commit.prevHead),
  );

/** Signed by the coordinator in `finished`. */
export const finishedStatement = (finished: {
  readonly task: string;
  readonly planHash: Uint8Array;
  readonly modelHash: Uint8Array;
  readonly modelBytes: number;
  readonly rounds: number;
}): Uint8Array =>
  canon(
    'finished',
    identifier(finished.task),
    hash(finished.planHash),
    hash(finished.modelHash),
    u64(finished.modelBytes),
    u32(finished.rounds),
  );

/** The transcript's head before the first round. */
export const GENESIS_HEAD: Uint8Array = new Uint8Array(32);

/** The transcript's head after a commit: SHA-256(prevHead ‖ canon(commit)). */
export async function headAfter(crypto: CryptoProvider, commit: Omit<CommitRecord, 'signature'>): Promise<Uint8Array> {
  const statement = commitStatement(commit);
  const chained = new Uint8Array(32 + statement.length);
  chained.set(commit.prevHead);
  chained.set(statement, 32);
  return crypto.sha256(chained);
}

/** @throws TacitError auth/bad-signature unless the key signed exactly this statement */
export async function verifyStatement(
  crypto: CryptoProvider,
  publicKey: Uint8Array,
  statement: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  if (!(await crypto.ed25519Verify(publicKey, statement, signature))) {
    throw new TacitError('auth/bad-signature', 'the signature does not verify');
  }
}
