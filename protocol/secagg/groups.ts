/**
 * Groups of a roster that is larger than one group may be (SPEC.md §13.3): drawn from the roster's hash, so that whoever has the
 * roster knows them. A sparse graph over the whole roster would save little at these sizes: with 200 participants of whom 30 % may
 * drop out and a coordinator that lies, each would need 182 neighbours.
 */
import { compareBytes } from '../bytes.ts';
import { canon } from '../canon.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { type Advertisement, encodeEntries } from './objects.ts';
import { groupSizes } from './rules.ts';

/** The entries of each group, each sorted by identity. @param entries the whole roster, sorted by identity */
export async function drawGroups(
  crypto: CryptoProvider,
  offerHash: Uint8Array,
  entries: readonly Advertisement[],
  maxGroup: number,
): Promise<Advertisement[][]> {
  const sizes = groupSizes(entries.length, maxGroup);
  if (sizes.length === 1) return [[...entries]];
  const rosterHash = await crypto.sha256(canon('draw', offerHash, encodeEntries(entries)));
  const drawn = await Promise.all(
    entries.map(async (entry) => ({ entry, lot: await crypto.sha256(canon('lot', rosterHash, entry.identity)) })),
  );
  drawn.sort((a, b) => compareBytes(a.lot, b.lot));
  let at = 0;
  return sizes.map((size) => {
    const group = drawn.slice(at, at + size).map(({ entry }) => entry);
    at += size;
    return group.sort((a, b) => compareBytes(a.identity, b.identity));
  });
}
