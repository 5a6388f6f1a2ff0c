/** Opens the masked sum of a group: recovers the secrets that its masks follow from, takes the masks off, and erases the secrets. */
import { type Recovery, recoverSecrets } from './recovery.ts';
import { type UnmaskOptions, unmask } from './unmask.ts';

export interface Opening extends Recovery, UnmaskOptions {
  readonly planHash: Uint8Array;
  /** What the exchange started from. */
  readonly startHash: Uint8Array;
}

/**
 * sum ← sum without masks.
 * @returns roster indices of those who gave wrong shares; undefined, and nothing has changed, if too many are missing or wrong
 */
export async function openSum(opening: Opening, sum: Int32Array): Promise<readonly number[] | undefined> {
  const { crypto, sessionId, planHash, entries, exchange, startHash, survivors } = opening;
  const found = await recoverSecrets(opening);
  if (!found) return undefined;
  const { own, lost, wrong } = found;
  const context = { sessionId, startHash, planHash, exchange };
  const alive = survivors.map((v) => ({
    index: v,
    identity: entries[v]!.identity,
    maskKey: entries[v]!.maskKeys[exchange]!,
  }));
  try {
    await unmask(crypto, { context, survivors: alive, own, lost }, sum, opening);
    return wrong;
  } finally {
    for (const secret of [...own.map(({ b }) => b), ...lost.map(({ secretKey }) => secretKey)]) secret.fill(0);
  }
}
