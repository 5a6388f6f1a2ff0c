/**
 * Sealing: a report encrypted to the coordinator's aggregation key, bound to what it is a report on (SPEC.md §6). A suite cuts the
 * plaintext into numbered segments of 1 MiB, the last one marked, so that truncation, reordering and repetition are noticed.
 */
import { canon, fixed, identifier, text, u8, u32 } from '../canon.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { TacitError } from '../errors.ts';
import type { SuiteName } from '../plan-privacy.ts';

/** What a sealed report is bound to; both sides know it without being told. */
export interface SealContext {
  /** The participant's raw Ed25519 public key. */
  readonly participant: Uint8Array;
  readonly task: string;
  readonly round: number;
  readonly attempt: number;
  readonly exchange: number;
  readonly planHash: Uint8Array;
  readonly modelHash: Uint8Array;
  readonly offerHash: Uint8Array;
}

export interface SealingSuite {
  readonly name: SuiteName;
  /** Length of what `seal` makes of so many bytes. */
  sealedBytes(plaintextBytes: number): number;
  /** Seals to an X25519 public key with a fresh ephemeral key. @throws TacitError auth/bad-key if the key is not usable */
  seal(
    crypto: CryptoProvider,
    aggregatorKey: Uint8Array,
    context: SealContext,
    plaintext: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** @throws TacitError report/malformed if anything is not as it was sealed, the context included */
  open(
    crypto: CryptoProvider,
    aggregatorSecret: Uint8Array,
    context: SealContext,
    sealed: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

/** Plaintext of all segments but the last. */
export const SEGMENT_BYTES = 1024 * 1024;
/** Length of the ephemeral public key in front. */
export const EPHEMERAL_BYTES = 32;
/** What each segment is longer than its plaintext. */
export const TAG_BYTES = 16;

/** The canonical bytes of a context under a suite and a pair of keys. */
export const sealContext = (
  suite: SuiteName,
  ephemeralKey: Uint8Array,
  aggregatorKey: Uint8Array,
  context: SealContext,
): Uint8Array =>
  canon(
    'seal',
    text(suite),
    fixed(32, ephemeralKey),
    fixed(32, aggregatorKey),
    fixed(32, context.participant),
    identifier(context.task),
    u32(context.round),
    u32(context.attempt),
    u8(context.exchange),
    fixed(32, context.planHash),
    fixed(32, context.modelHash),
    fixed(32, context.offerHash),
  );

/** One segment: its number from 0, whether it is the last, and where it lies in the plaintext and in the sealed segments. */
export interface Segment {
  readonly number: number;
  readonly last: boolean;
  readonly plain: readonly [begin: number, end: number];
  readonly sealed: readonly [begin: number, end: number];
}

/** The segments of so many plaintext bytes; there is always a last one, of 0 to 1 MiB. */
export function segmentsOf(plaintextBytes: number): readonly Segment[] {
  const count = Math.max(1, Math.ceil(plaintextBytes / SEGMENT_BYTES));
  return Array.from({ length: count }, (_, number) => {
    const begin = number * SEGMENT_BYTES;
    const end = Math.min(plaintextBytes, begin + SEGMENT_BYTES);
    const from = EPHEMERAL_BYTES + begin + number * TAG_BYTES;
    return {
      number,
      last: number === count - 1,
      plain: [begin, end],
      sealed: [from, from + end - begin + TAG_BYTES],
    };
  });
}

/** Length of the ephemeral key and the segments of so many plaintext bytes. */
export const segmentedBytes = (plaintextBytes: number): number => segmentsOf(plaintextBytes).at(-1)!.sealed[1];

/** How many plaintext bytes lie in segments of this total length. @throws TacitError report/malformed if none can */
export function plaintextBytesOf(sealedBytes: number): number {
  const segments = Math.ceil((sealedBytes - EPHEMERAL_BYTES) / (SEGMENT_BYTES + TAG_BYTES));
  const plaintextBytes = sealedBytes - EPHEMERAL_BYTES - segments * TAG_BYTES;
  if (segments < 1 || plaintextBytes < 0 || segmentedBytes(plaintextBytes) !== sealedBytes) {
    throw new TacitError('report/malformed', `a sealed report cannot have ${sealedBytes} bytes`);
  }
  return plaintextBytes;
}
