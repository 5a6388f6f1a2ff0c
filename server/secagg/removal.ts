/** The masks that are left in a group's sum: the survivors' own, and those that they share with the lost (SPEC.md §13.6). */
import type { Mask } from '../../protocol/crypto/masks.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { maskKey } from '../../protocol/secagg/masks.ts';
import { type MaskContext, pairInfo, selfInfo } from '../../protocol/secagg/statements.ts';

/** A survivor's b, as it was recovered. */
export interface SelfSecret {
  readonly identity: Uint8Array;
  readonly b: Uint8Array;
}

/** The mask key of one who was lost, as it was recovered, with the survivors' public keys. */
export interface LostSecret {
  readonly index: number;
  readonly identity: Uint8Array;
  readonly secretKey: Uint8Array;
}

export interface Survivor {
  readonly index: number;
  readonly identity: Uint8Array;
  readonly maskKey: Uint8Array;
}

/** Secrets whose masks are to be taken off. */
export interface RemovalPart {
  readonly own: readonly SelfSecret[];
  readonly lost: readonly LostSecret[];
}

/** The work of taking masks off; plain data, so that a thread can be given it. */
export interface Removal extends RemovalPart {
  readonly context: MaskContext;
  readonly survivors: readonly Survivor[];
}

/** Masks of a removal, as many as `masksOf` takes off. */
export const masksIn = ({ own, lost, survivors }: Removal): number => own.length + lost.length * survivors.length;

async function masksOf(crypto: CryptoProvider, { context, survivors, own, lost }: Removal): Promise<Mask[]> {
  const masks: Mask[] = [];
  for (const { identity, b } of own) {
    masks.push({ key: await maskKey(crypto, b, selfInfo(context, identity)), sign: -1 });
  }
  for (const { index, identity, secretKey } of lost) {
    const exchanged = await crypto.x25519Each(
      secretKey,
      survivors.map((survivor) => survivor.maskKey),
    );
    for (const [i, survivor] of survivors.entries()) {
      const shared = exchanged[i]!;
      const first = survivor.index < index; // then the survivor has added the mask
      const info = first
        ? pairInfo(context, survivor.identity, identity)
        : pairInfo(context, identity, survivor.identity);
      masks.push({ key: await maskKey(crypto, shared, info), sign: first ? -1 : 1 });
      shared.fill(0);
    }
  }
  return masks;
}

/** words ← words without the masks of the removal. */
export async function removeMasks(crypto: CryptoProvider, removal: Removal, words: Int32Array): Promise<void> {
  const masks = await masksOf(crypto, removal);
  await crypto.applyMasks(words, masks);
  for (const { key } of masks) key.fill(0);
}

/** A removal cut into parts of about so many masks, which take about the same time. */
export function partsOf(removal: Removal, masks: number): RemovalPart[] {
  const parts: RemovalPart[] = [];
  for (let at = 0; at < removal.own.length; at += masks) {
    parts.push({ own: removal.own.slice(at, at + masks), lost: [] });
  }
  const lostAtOnce = Math.max(1, Math.round(masks / Math.max(1, removal.survivors.length)));
  for (let at = 0; at < removal.lost.length; at += lostAtOnce) {
    parts.push({ own: [], lost: removal.lost.slice(at, at + lostAtOnce) });
  }
  return parts;
}
