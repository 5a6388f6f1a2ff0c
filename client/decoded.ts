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

/** Where the platform has shared memory; a page that is not cross-origin isolated keeps its own. */
function shared(array: NDArray): NDArray {
  if (typeof SharedArrayBuffer === 'undefined') return array;
  const memory = new SharedArrayBuffer(array.data.byteLength);
  const data = array.dtype === 'int32' ? new Int32Array(memory) : new Float32Array(memory);
  data.set(array.data);
  return { ...array, data };
}

/** The arrays of a blob whose bytes have its hash. @throws TacitError weights/malformed, weights/not-finite */
export function decodeOnce(ref: BlobRef, bytes: Uint8Array): NamedArrays {
  const key = toHex(ref.hash);
  const known = kept.get(key);
  if (known) return known;
  const { arrays } = decodeSafetensors(bytes);
  assertFinite(arrays);
  const decoded = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, shared(array)]));
  kept.set(key, decoded);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return decoded;
}
