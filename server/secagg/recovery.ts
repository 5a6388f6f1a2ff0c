/** Recovers the secrets of a group from the survivors' answers, each verified against what its owner made known before masking. */
import { equalBytes } from '../../protocol/bytes.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { markIn, markOf, type SecretKind } from '../../protocol/secagg/marks.ts';
import type { Advertisement, SealedShares, Unmasking } from '../../protocol/secagg/objects.ts';
import { revealOf, sharesOf, thresholdOf } from '../../protocol/secagg/rules.ts';
import { type Contribution, isShare, recoverSecret } from '../../protocol/secagg/shares.ts';
import { commitOf } from '../../protocol/secagg/statements.ts';
import type { Disputes } from './disputes.ts';
import type { LostSecret, SelfSecret } from './removal.ts';

export interface Recovery {
  readonly crypto: CryptoProvider;
  readonly sessionId: Uint8Array;
  readonly entries: readonly Advertisement[];
  readonly exchanges: readonly number[];
  readonly exchange: number;
  readonly members: readonly number[];
  readonly survivors: readonly number[];
  /** By roster index: the commitments to b, and boxes with marks behind them. */
  readonly shares: ReadonlyMap<number, Pick<SealedShares, 'commits' | 'boxes'>>;
  readonly disputes: Disputes;
  readonly answers: ReadonlyMap<number, Unmasking>;
}

interface RecoveredSecrets {
  readonly own: readonly SelfSecret[];
  readonly lost: readonly LostSecret[];
  /** Whether every secret was recovered; nothing can be opened otherwise. */
  readonly isComplete: boolean;
  /** Roster indices of those who gave other shares than they were dealt. */
  readonly givers: readonly number[];
  /** Roster indices of those whose shares, as they dealt them, are not of their secret. */
  readonly dealers: readonly number[];
}

/** The shares of a survivor's b: they are listed by survivor, without the giver in a group of 256. One's own, which no mark vouches for, is last. */
function selfShares({ entries, survivors, answers }: Recovery, of: number): Contribution[] {
  const noOwn = sharesOf(entries.length) < entries.length;
  const place = survivors.indexOf(of);
  const contributions: Contribution[] = [];
  for (const [from, { selfShares: given }] of answers) {
    if (from !== of) contributions.push({ from, share: given[noOwn && from < of ? place - 1 : place]! });
  }
  const own = noOwn ? undefined : answers.get(of)?.selfShares[place];
  if (own) contributions.push({ from: of, share: own });
  return contributions;
}

/** Whether a share is the one that its giver was dealt, or a giver that complained of its box gives none. */
async function fitsMark(recovery: Recovery, kind: SecretKind, dealer: number, entry: Contribution): Promise<boolean> {
  const { crypto, sessionId, entries, exchanges, exchange, shares } = recovery;
  const { from, share } = entry;
  if (from === dealer) return isShare(entry);
  const route = { sessionId, from: entries[dealer]!.identity, to: entries[from]!.identity };
  const box = shares.get(dealer)!.boxes[from < dealer ? from : from - 1]!;
  const mark = await markOf(crypto, route, { kind, exchange }, share);
  return equalBytes(mark, markIn(box, exchanges.length, { kind, exchange }));
}

/** Recovers all that there is. The caller erases what it is given. */
export async function recoverSecrets(recovery: Recovery): Promise<RecoveredSecrets> {
  const { crypto, sessionId, entries, exchange, members, survivors, shares, disputes, answers } = recovery;
  const threshold = thresholdOf(entries.length);
  const givers = new Set<number>();
  const dealers: number[] = [];
  const recover = async (
    kind: SecretKind,
    dealer: number,
    contributions: Contribution[],
    verify: (secret: Uint8Array) => Promise<boolean>,
  ): Promise<Uint8Array | undefined> => {
    const fits = (entry: Contribution): Promise<boolean> => fitsMark(recovery, kind, dealer, entry);
    const { secret, wrong, isDealt } = await recoverSecret(contributions, threshold, { verify, fits }, givers);
    for (const from of wrong) if (!disputes.has(from, dealer)) givers.add(from);
    if (!isDealt) dealers.push(dealer);
    return secret;
  };

  const own: SelfSecret[] = [];
  for (const v of survivors) {
    const { identity } = entries[v]!;
    const b = await recover('self', v, selfShares(recovery, v), async (secret) =>
      equalBytes(await commitOf(crypto, sessionId, identity, secret), shares.get(v)!.commits[exchange]!),
    );
    if (b) own.push({ identity, b });
  }
  const lost: LostSecret[] = [];
  const { key } = revealOf(members, survivors);
  for (const [i, v] of key.entries()) {
    const { identity, maskKeys } = entries[v]!;
    const given = [...answers].map(([from, { keyShares }]) => ({ from, share: keyShares[i]! }));
    const secretKey = await recover('key', v, given, async (secret) => {
      const pair = await crypto.x25519KeyPair(secret);
      pair.secretKey.fill(0);
      return equalBytes(pair.publicKey, maskKeys[exchange]!);
    });
    if (secretKey) lost.push({ index: v, identity, secretKey });
  }
  const isComplete = own.length === survivors.length && lost.length === key.length;
  return { own, lost, isComplete, givers: [...givers].sort((a, b) => a - b), dealers };
}
