/** From the sums of a round to the commit that is stored: strategy, new model, signed link of the transcript. */
import { asBytes, toHex } from '../protocol/bytes.ts';
import { unflatten } from '../protocol/flatten.ts';
import { commitStatement, headAfter } from '../protocol/identity.ts';
import type { Offer } from '../protocol/messages.ts';
import type { OpenedSum } from '../protocol/report.ts';
import { assertFinite, encodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { RoundSummary } from './events.ts';
import { type Federation, metricsOf, type Progress } from './federation.ts';
import type { Commit } from './store/store.ts';

/** What the strategy made of a round's sums. */
export interface Concluded {
  readonly state: NamedArrays;
  readonly global: Float32Array;
  /** Of the last exchange. */
  readonly opened: OpenedSum;
  /** Its ring sum. */
  readonly sum: Int32Array;
}

export interface CommitFacts {
  readonly offer: Offer;
  readonly offerHash: Uint8Array;
  readonly participants: number;
}

export const normOf = (values: Float32Array): number => {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares);
};

/** L2 norm of a − b. */
function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(squares);
}

type Measured = Pick<RoundSummary, 'loss' | 'weight' | 'updateNorm' | 'modelNorm' | 'modelHash'>;

/**
 * The commit and the progress after it. `measure` completes the summary, whose metrics are stored with the commit.
 * @throws TacitError weights/not-finite if the new model holds NaN or an infinity: nothing is committed then
 */
export async function conclude(
  federation: Federation,
  before: Progress,
  facts: CommitFacts,
  concluded: Concluded,
  measure: (measured: Measured) => RoundSummary,
): Promise<{ commit: Commit; after: Progress; summary: RoundSummary }> {
  const { crypto, identity, specs } = federation;
  const { state, global, opened, sum } = concluded;
  const arrays = unflatten(global, specs);
  assertFinite(arrays);
  const model = encodeSafetensors(arrays);
  const modelHash = await crypto.sha256(model);
  const { offer, offerHash, participants } = facts;
  const unsigned = {
    offerHash,
    round: offer.round,
    attempt: offer.attempt,
    participants,
    aggregateHash: await crypto.sha256(asBytes(sum)),
    modelHash,
    prevHead: before.head,
  };
  const record = { ...unsigned, signature: await identity.sign(commitStatement(unsigned)) };
  const head = await headAfter(crypto, unsigned);
  const summary = measure({
    loss: opened.metrics.loss ?? 0,
    weight: opened.weight,
    updateNorm: distance(global, before.global),
    modelNorm: normOf(global),
    modelHash: toHex(modelHash),
  });
  const version = before.version + 1;
  const commit = { version, offer, record, head, model, state: encodeSafetensors(state), metrics: metricsOf(summary) };
  const after = { version, head, model, modelHash, global, strategyState: state };
  return { commit, after, summary };
}
