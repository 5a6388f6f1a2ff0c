/**
 * What the broadcasts of a process hold, decoded once however many participants it has, and in memory that their training workers
 * share instead of each getting a copy. Nobody writes to it.
 */
import { toHex } from '../protocol/bytes.ts';
import type { BlobRef } from '../protocol/messages.ts';
import { assertFinite, decodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays, NDArray } from '../protocol/tensors.ts';

/** Blobs that are kept: the model of a round, and what comes with its second exchange. */
const KEPT = 2;
const kept = new Map<string, NamedArrays>();

/**
 * The same arrays in one piece of shared memory, where the platform has it: each piece costs every message to a worker its share. A page
 * that is not cross-origin isolated keeps its own.
 */
function shared(arrays: NamedArrays): NamedArrays {
  if (typeof SharedArrayBuffer === 'undefined') return arrays;
  const list = Object.entries(arrays);
  const memory = new SharedArrayBuffer(list.reduce((n, [, { data }]) => n + data.byteLength, 0));
  let at = 0;
  const placed = ({ dtype, data, ...rest }: NDArray): NDArray => {
    const copy =
      dtype === 'int32' ? new Int32Array(memory, at, data.length) : new Float32Array(memory, at, data.length);
    copy.set(data);
    at += data.byteLength;
    return { ...rest, dtype, data: copy };
  };
  return Object.fromEntries(list.map(([name, array]) => [name, placed(array)]));
}

/** The arrays of a blob whose bytes have its hash. @throws TacitError weights/malformed, weights/not-finite */
export function decodeOnce(ref: BlobRef, bytes: Uint8Array): NamedArrays {
  const key = toHex(ref.hash);
  const known = kept.get(key);
  if (known) return known;
  const { arrays } = decodeSafetensors(bytes);
  assertFinite(arrays);
  const decoded = shared(arrays);
  kept.set(key, decoded);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return decoded;
}
