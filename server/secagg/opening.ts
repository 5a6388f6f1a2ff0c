/** Opens the masked sum of a group: recovers the secrets that its masks follow from, takes the masks off, and erases the secrets. */
import { type Recovery, recoverSecrets } from './recovery.ts';
import { type UnmaskOptions, unmask } from './unmask.ts';

export interface Opening extends Recovery, UnmaskOptions {
  readonly planHash: Uint8Array;
  /** What the exchange started from. */
  readonly startHash: Uint8Array;
}

/** What came of opening a sum; roster indices. */
export interface OpeningResult {
  /** Otherwise too many shares are missing or wrong, and nothing has changed. */
  readonly isOpen: boolean;
  /** Who gave other shares than they were dealt. */
  readonly givers: readonly number[];
  /** Who dealt shares that are not of their secret. */
  readonly dealers: readonly number[];
}

/** sum ← sum without masks. */
export async function openSum(opening: Opening, sum: Int32Array): Promise<OpeningResult> {
  const { crypto, sessionId, planHash, entries, exchange, startHash, survivors } = opening;
  const { own, lost, isComplete: isOpen, givers, dealers } = await recoverSecrets(opening);
  const context = { sessionId, startHash, planHash, exchange };
  const alive = survivors.map((v) => ({
    index: v,
    identity: entries[v]!.identity,
    maskKey: entries[v]!.maskKeys[exchange]!,
  }));
  try {
    if (isOpen) await unmask(crypto, { context, survivors: alive, own, lost }, sum, opening);
    return { isOpen, givers, dealers };
  } finally {
    for (const secret of [...own.map(({ b }) => b), ...lost.map(({ secretKey }) => secretKey)]) secret.fill(0);
  }
}
