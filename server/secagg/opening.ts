/** Opens the masked sum of a group: recovers the secrets that its masks follow from, takes the masks off, and erases the secrets. */
import { answersNeeded, thresholdOf } from '../../protocol/secagg/rules.ts';
import { findsOneWrong } from '../../protocol/secagg/shares.ts';
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
  /** Who gave wrong shares, or was given them. */
  readonly wrong: readonly number[];
  /** Whose own secrets keep the sum closed; nobody if one wrong answer of another could be the reason as well. */
  readonly dealers: readonly number[];
}

/** sum ← sum without masks. */
export async function openSum(opening: Opening, sum: Int32Array): Promise<OpeningResult> {
  const { crypto, sessionId, planHash, entries, exchange, startHash, survivors, answers } = opening;
  const found = await recoverSecrets(opening);
  if (!found) return { isOpen: false, wrong: [], dealers: [] };
  const { own, lost, wrong, dealers } = found;
  const context = { sessionId, startHash, planHash, exchange };
  const alive = survivors.map((v) => ({
    index: v,
    identity: entries[v]!.identity,
    maskKey: entries[v]!.maskKeys[exchange]!,
  }));
  const isOpen = dealers.length === 0;
  try {
    if (isOpen) await unmask(crypto, { context, survivors: alive, own, lost }, sum, opening);
    const { length: size } = entries;
    const isCertain = findsOneWrong(thresholdOf(size), answers.size - answersNeeded(size));
    return { isOpen, wrong, dealers: isCertain ? dealers : [] };
  } finally {
    for (const secret of [...own.map(({ b }) => b), ...lost.map(({ secretKey }) => secretKey)]) secret.fill(0);
  }
}
