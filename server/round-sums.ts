/**
 * The sums of one attempt: an aggregation for each exchange, what the strategy makes of it, the signed start of the next exchange,
 * and in the end the commit that is to be stored.
 */
import { TacitError } from '../protocol/errors.ts';
import { exchangeStatement } from '../protocol/identity.ts';
import type { BlobRef, ExchangeStart, Offer } from '../protocol/messages.ts';
import { uploadSuitesOf } from '../protocol/plan-privacy.ts';
import { type OpenedSum, openSum } from '../protocol/report.ts';
import { checkAgainst, encodeSafetensors } from '../protocol/safetensors.ts';
import type { OpenedExchange } from '../protocol/secagg/contracts.ts';
import { BROADCAST } from '../protocol/sections.ts';
import { checkSum } from '../protocol/sum-check.ts';
import { type NamedArrays, type NamedSpecs, sizeOf } from '../protocol/tensors.ts';
import { type Aggregation, aggregationOf, maskedAggregationOf, sealedBytesOf } from './aggregation.ts';
import { conclude } from './conclude.ts';
import type { RoundSummary } from './events.ts';
import type { Federation, Progress } from './federation.ts';
import { broughtNorm, joinState, splitState } from './kept-state.ts';
import { chargeRelease } from './privacy-ledger.ts';
import type { Commit } from './store/store.ts';

/** A round that only has to be stored. */
export interface ReadyCommit {
  readonly commit: Commit;
  readonly progress: Progress;
  readonly summary: RoundSummary;
}

/** What the attempt knows of itself when its last sum is opened. */
export type Facts = Pick<
  RoundSummary,
  | 'round'
  | 'attempt'
  | 'participants'
  | 'accepted'
  | 'recruitSeconds'
  | 'trainSeconds'
  | 'aggregateSeconds'
  | 'seconds'
  | 'bytesUp'
  | 'bytesDown'
>;

/** What an attempt is offered as. */
export interface Offered {
  readonly offer: Offer;
  readonly offerHash: Uint8Array;
}

async function signExchange(
  { identity }: Federation,
  offerHash: Uint8Array,
  index: number,
  blobs: BlobRef[],
): Promise<ExchangeStart> {
  const unsigned = { offerHash, index, blobs };
  return { ...unsigned, signature: await identity.sign(exchangeStatement(unsigned)) };
}

/** A sum whose masks are off, and whose reports are in it. */
export type Unmasked = Pick<OpenedExchange, 'sum' | 'participants'>;

export interface RoundSums {
  /** The signed start of each exchange that has begun. */
  readonly starts: readonly ExchangeStart[];
  /** Of the exchange that is under way. */
  readonly aggregation: Aggregation;
  /** Bytes that a participant pulls and pushes in all exchanges, as far as they are known beforehand. */
  volume(): { readonly down: number; readonly up: number };
  /** Length of a sealed report of the exchange that is under way, by suite. */
  sealedSizes(): Record<string, number>;
  /** Charges the privacy ledger with the exchange that is under way, once: before anything is asked for that opens its sum. */
  charge(): Promise<unknown>;
  /**
   * Charges the privacy ledger, opens the sum of the exchange that is under way and lets the strategy use it. After the last exchange there is a commit.
   * @throws TacitError privacy/budget-spent, report/out-of-bounds, weights/not-finite, internal
   */
  close(facts: () => Facts, unmasked?: Unmasked): Promise<ReadyCommit | undefined>;
}

/** A safetensors file's header takes some bytes for each tensor. */
const HEADER_BYTES = 256;
const broadcastBytes = (brings: NamedSpecs): number =>
  Object.values(brings).reduce((n, { shape }) => n + 4 * sizeOf(shape) + HEADER_BYTES, 0);

/** What was opened, with a robust aggregate in place of the mean. */
const withDelta = (opened: OpenedSum, delta: Float32Array | undefined): OpenedSum =>
  delta ? { ...opened, sections: { ...opened.sections, delta } } : opened;

/** The first exchange starts from the model, and the clipping norm where that adapts. */
export async function openSums(
  federation: Federation,
  progress: Progress,
  { offer, offerHash }: Offered,
  model: BlobRef,
): Promise<RoundSums> {
  const { crypto, plan, exchanges, aggregator, strategy, shelf } = federation;
  const aggregationAt = (index: number): Aggregation =>
    plan.privacy.mode === 'sealed'
      ? aggregationOf({ crypto, plan, exchange: exchanges[index]!, secret: aggregator.secretKey })
      : maskedAggregationOf({ plan, exchange: exchanges[index]! });
  const kept = splitState(plan, progress.strategyState);
  const { clipNorm } = kept;
  const brought = broughtNorm(plan, clipNorm);
  const first = brought ? [model, await shelf.add(BROADCAST, encodeSafetensors(brought))] : [model];
  const starts = [await signExchange(federation, offerHash, 0, first)];
  let index = 0;
  let aggregation = aggregationAt(0);
  let state: NamedArrays = kept.own;

  const sealedSizesAt = (at: number): Record<string, number> =>
    Object.fromEntries(uploadSuitesOf(plan).map((suite) => [suite, sealedBytesOf(plan, exchanges[at]!, suite)]));

  let charged: { readonly exchange: number; readonly spent: ReturnType<typeof chargeRelease> } | undefined;
  const charge = (): ReturnType<typeof chargeRelease> => {
    if (charged?.exchange !== index) {
      const release = { round: offer.round, attempt: offer.attempt, exchange: index };
      charged = { exchange: index, spent: chargeRelease(federation, release) };
    }
    return charged.spent;
  };

  const close = async (facts: () => Facts, unmasked?: Unmasked): Promise<ReadyCommit | undefined> => {
    const spent = await charge();
    const exchange = exchanges[index]!;
    if (unmasked) checkSum(plan, exchange, unmasked.sum, unmasked.participants.length);
    const sum = unmasked?.sum ?? aggregation.sum();
    const robust = await aggregation.kept?.aggregate(kept.aggregator);
    const opened = withDelta(openSum(plan, exchange, sum, clipNorm), robust?.aggregate);
    const { version: round, global: before } = progress;
    const inputs = { plan, round, exchange, aggregate: opened, global: before };
    const { state: next, global, broadcast } = strategy.apply(state, inputs);
    state = next;
    if (index + 1 < exchanges.length) {
      checkAgainst(broadcast ?? {}, exchanges[index + 1]!.brings);
      const blobs = broadcast ? [await shelf.add(BROADCAST, encodeSafetensors(broadcast))] : [];
      starts.push(await signExchange(federation, offerHash, index + 1, blobs));
      index += 1;
      aggregation = aggregationAt(index);
      return undefined;
    }
    if (!global) throw new TacitError('internal', `strategy ${strategy.name} gave no model after the last exchange`);
    const known = facts();
    const concluded = await conclude(
      federation,
      progress,
      { offer, offerHash, participants: known.participants },
      {
        state: joinState(plan, { own: state, aggregator: robust?.state ?? {}, clipNorm }, opened),
        global,
        opened,
        // of a robust aggregate the transcript binds the bytes of its float32
        sum: robust ? new Int32Array(robust.aggregate.buffer) : sum,
      },
      (measured) => ({ ...known, ...measured, ...spent }),
    );
    return { commit: concluded.commit, progress: concluded.after, summary: concluded.summary };
  };
  return {
    starts,
    get aggregation() {
      return aggregation;
    },
    sealedSizes: () => sealedSizesAt(index),
    volume: () => ({
      down: model.bytes + exchanges.reduce((n, { brings }) => n + broadcastBytes(brings), 0),
      up: exchanges.reduce((n, _, at) => n + Math.max(0, ...Object.values(sealedSizesAt(at))), 0),
    }),
    charge,
    close,
  };
}
