/** Pulls blobs so that a lost connection costs only the chunks that were under way. */
import { toHex } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import type { BlobRef } from '../protocol/messages.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';
import { type PartialBlob, pullBlob, startBlob } from '../protocol/transfer.ts';

/** The one download that is under way; outlives connections. */
export interface Downloads {
  underWay: { readonly hash: string; readonly partial: PartialBlob } | undefined;
}

export interface DownloadOptions {
  readonly crypto: CryptoProvider;
  readonly maxBytes: number;
  readonly onProgress?: (bytes: number) => void;
}

/** The bytes of `ref`, checked. @throws TacitError wire/hash-mismatch, wire/too-large, net/* */
export async function download(
  downloads: Downloads,
  peer: ParticipantPeer,
  ref: BlobRef,
  options: DownloadOptions,
): Promise<Uint8Array> {
  const hash = toHex(ref.hash);
  const known = downloads.underWay;
  const resumable = known?.hash === hash && known.partial.bytes.length === ref.bytes;
  if (!resumable && ref.bytes <= options.maxBytes) downloads.underWay = { hash, partial: startBlob(ref) };
  const partial = downloads.underWay?.partial;
  const bytes = await pullBlob(peer, ref, { ...options, ...(partial ? { resumeFrom: partial } : {}) });
  downloads.underWay = undefined;
  return bytes;
}
