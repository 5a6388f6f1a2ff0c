/**
 * The coordinator's privacy ledger: every noised sum is charged, durably, before it is opened, and none is opened that would pass the
 * plan's budget. A crash between the two can only make the ledger say more than was spent.
 */
import { TacitError } from '../protocol/errors.ts';
import { epsilonOfMu } from '../protocol/privacy/gaussian.ts';
import { epsilonOfRdp, RDP_ORDERS } from '../protocol/privacy/rdp.ts';
import type { Federation } from './federation.ts';
import type { LedgerEntry } from './store/store.ts';

/** ε of one participant that was in every sum so far, at the plan's δ. */
export interface PrivacySpent {
  /** By the exact formula for releases without sampling, to which privacy-loss distributions lead; decides about the budget. */
  readonly epsilon: number;
  /** By Rényi divergence. */
  readonly epsilonRdp: number;
}

/** ε of releases with these Σ 1/z². */
function spentBy(squares: number, delta: number): PrivacySpent {
  const rdp = RDP_ORDERS.map((order) => (order / 2) * squares);
  return { epsilon: epsilonOfMu(Math.sqrt(squares), delta), epsilonRdp: epsilonOfRdp(rdp, delta).epsilon };
}

const squaresOf = (entries: readonly LedgerEntry[]): number =>
  entries.reduce((sum, { charge }) => sum + (charge.noiseMultiplier ?? 0) ** -2, 0);

/**
 * Charges one sum. To be awaited before anything of it is revealed.
 * @returns what will then have been spent; nothing in modes that promise no ε
 * @throws TacitError privacy/budget-spent, run/store
 */
export async function chargeRelease(
  { plan, store, run }: Pick<Federation, 'plan' | 'store' | 'run'>,
  at: Pick<LedgerEntry, 'round' | 'attempt' | 'exchange'>,
): Promise<PrivacySpent | undefined> {
  const { privacy } = plan;
  if (privacy.mode !== 'secagg+dp') return undefined;
  const { noiseMultiplier, delta, epsilon: budget } = privacy;
  const spent = spentBy(squaresOf(await store.ledger(run)) + noiseMultiplier ** -2, delta);
  if (spent.epsilon > budget) {
    throw new TacitError(
      'privacy/budget-spent',
      `opening this sum would bring ε to ${spent.epsilon.toFixed(3)} at δ = ${delta}; the budget is ${budget}`,
      { where: 'privacy.epsilon', hint: 'Failed attempts whose sums were opened count too.' },
    );
  }
  await store.charge(run, { ...at, charge: { noiseMultiplier, delta, ...spent } });
  return spent;
}
