/**
 * What the coordinator has to give away, by hash: plans, models, statistics. Encoded once, whatever the number of participants;
 * a chunk is a view of the one copy.
 */
import { toHex } from './bytes.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import type { BlobRef } from './messages.ts';
import { LIMITS } from './transport.ts';

export interface BlobShelf {
  /** Puts bytes on the shelf, once however often they are added; they must not change afterwards. @throws TacitError wire/too-large */
  add(name: string, bytes: Uint8Array): Promise<BlobRef>;
  has(hash: Uint8Array): boolean;
  /** The chunk at an offset, and the size of the whole. @throws TacitError wire/unknown-blob, wire/malformed (offset at or after the end) */
  chunk(hash: Uint8Array, offset: number): { readonly body: Uint8Array; readonly bytes: number };
  drop(hash: Uint8Array): void;
  /** Drops everything but these. */
  keepOnly(hashes: readonly Uint8Array[]): void;
  readonly heldBytes: number;
}

export function createBlobShelf(crypto: CryptoProvider): BlobShelf {
  const blobs = new Map<string, Uint8Array>();
  return {
    async add(name, bytes) {
      if (bytes.length > LIMITS.blobBytes) throw new TacitError('wire/too-large', `${name} has ${bytes.length} bytes`);
      const hash = await crypto.sha256(bytes);
      const key = toHex(hash);
      if (!blobs.has(key)) blobs.set(key, bytes);
      return { name, hash, bytes: bytes.length };
    },
    has: (hash) => blobs.has(toHex(hash)),
    chunk(hash, offset) {
      const bytes = blobs.get(toHex(hash));
      if (!bytes) throw new TacitError('wire/unknown-blob', 'no blob with that hash is offered (any more)');
      if (offset >= bytes.length) throw new TacitError('wire/malformed', `offset ${offset} of ${bytes.length} bytes`);
      return { body: bytes.subarray(offset, offset + LIMITS.chunkBytes), bytes: bytes.length };
    },
    drop: (hash) => void blobs.delete(toHex(hash)),
    keepOnly(hashes) {
      const kept = new Set(hashes.map(toHex));
      for (const key of [...blobs.keys()]) if (!kept.has(key)) blobs.delete(key);
    },
    get heldBytes() {
      return [...blobs.values()].reduce((n, bytes) => n + bytes.length, 0);
    },
  };
}
