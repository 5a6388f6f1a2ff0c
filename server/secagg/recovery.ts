/** Recovers the secrets of a group from the survivors' answers, each verified against what its owner made known before masking. */
import { equalBytes } from '../../protocol/bytes.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import type { Advertisement, Unmasking } from '../../protocol/secagg/objects.ts';
import { revealOf, sharesOf, thresholdOf } from '../../protocol/secagg/rules.ts';
import { type Contribution, recoverSecret } from '../../protocol/secagg/shares.ts';
import { commitOf } from '../../protocol/secagg/statements.ts';
import type { LostSecret, SelfSecret } from './removal.ts';

export interface Recovery {
  readonly crypto: CryptoProvider;
  readonly sessionId: Uint8Array;
  readonly entries: readonly Advertisement[];
  readonly exchange: number;
  readonly members: readonly number[];
  readonly survivors: readonly number[];
  /** Commitments to b of this exchange, by roster index. */
  readonly commits: ReadonlyMap<number, Uint8Array>;
  readonly answers: ReadonlyMap<number, Unmasking>;
}

interface RecoveredSecrets {
  readonly own: readonly SelfSecret[];
  readonly lost: readonly LostSecret[];
  /** Roster indices of those who gave wrong shares, or were given them: a single wrong share does not tell which. */
  readonly wrong: readonly number[];
  /**
   * Roster indices of those whose secret cannot be recovered, although the same givers recover that of others. Nothing can be opened
   * then.
   */
  readonly dealers: readonly number[];
}

/** Shares of a survivor's b: `selfShares` are in the order of the survivors, without the giver in a group of 256. */
function selfShares({ entries, survivors, answers }: Recovery, of: number): Contribution[] {
  const noOwn = sharesOf(entries.length) < entries.length;
  const place = survivors.indexOf(of);
  const contributions: Contribution[] = [];
  for (const [from, { selfShares: given }] of answers) {
    const share = noOwn && from === of ? undefined : given[noOwn && from < of ? place - 1 : place];
    if (share) contributions.push({ from, share });
  }
  return contributions;
}

/** Undefined if no secret can be recovered from what there is. The caller erases what it is given. */
export async function recoverSecrets(recovery: Recovery): Promise<RecoveredSecrets | undefined> {
  const { crypto, sessionId, entries, exchange, members, survivors, commits, answers } = recovery;
  const threshold = thresholdOf(entries.length);
  const wrong = new Set<number>();
  const dealers: number[] = [];
  const recover = async (
    dealer: number,
    contributions: Contribution[],
    verify: (secret: Uint8Array) => Promise<boolean>,
  ): Promise<Uint8Array | undefined> => {
    const found = await recoverSecret(contributions, threshold, verify, wrong);
    for (const from of found?.wrong ?? []) wrong.add(from);
    if (!found) dealers.push(dealer);
    return found?.secret;
  };

  const own: SelfSecret[] = [];
  for (const v of survivors) {
    const { identity } = entries[v]!;
    const b = await recover(v, selfShares(recovery, v), async (secret) =>
      equalBytes(await commitOf(crypto, sessionId, identity, secret), commits.get(v)!),
    );
    if (b) own.push({ identity, b });
  }
  const lost: LostSecret[] = [];
  for (const [i, v] of revealOf(members, survivors).key.entries()) {
    const { identity, maskKeys } = entries[v]!;
    const given = [...answers].map(([from, { keyShares }]) => ({ from, share: keyShares[i]! }));
    const secretKey = await recover(v, given, async (secret) => {
      const pair = await crypto.x25519KeyPair(secret);
      pair.secretKey.fill(0);
      return equalBytes(pair.publicKey, maskKeys[exchange]!);
    });
    if (secretKey) lost.push({ index: v, identity, secretKey });
  }
  return own.length + lost.length > 0 ? { own, lost, wrong: [...wrong], dealers } : undefined;
}
