/** From the signed start of an exchange to the words of its report: pull what it names, compute, clip, weight, fixed point. */
import type { SharedRound } from '../learning/pool/jobs/shared-train.ts';
import type { StatisticsInput } from '../learning/pool/jobs/statistics.ts';
import type { TrainInput } from '../learning/pool/jobs/train.ts';
import type { JobInput, JobOutput } from '../learning/pool/jobs.ts';
import type { RunOptions } from '../learning/pool/scheduler.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { TacitError } from '../protocol/errors.ts';
import type { BlobRef, ExchangeStart } from '../protocol/messages.ts';
import { CLIP_NORM } from '../protocol/privacy/noised-exchange.ts';
import { buildReport, type NoiseInputs } from '../protocol/report.ts';
import { checkAgainst } from '../protocol/safetensors.ts';
import { BROADCAST, type Exchange, MODEL } from '../protocol/sections.ts';
import type { NamedArrays, NamedSpecs } from '../protocol/tensors.ts';
import type { Built, Contribution, Stage, Workplace } from './contribution.ts';
import { decodeOnce } from './decoded.ts';

/** The jobs that a participant needs of a training pool. */
export interface Trainer {
  run<Name extends 'train' | 'statistics'>(
    name: Name,
    input: JobInput<Name>,
    options?: RunOptions,
  ): Promise<JobOutput<Name>>;
}

/** What an exchange starts from. */
export interface Inputs {
  readonly model: NamedArrays;
  /** What the strategy made of the exchange before. */
  readonly brought: NamedArrays;
}

/**
 * Pulls what the start of an exchange names. The model comes with the first one, and serves for all.
 * @throws TacitError wire/*, weights/*, net/*
 */
export async function pullInputs(at: Workplace, contribution: Contribution, start: ExchangeStart): Promise<Inputs> {
  const { brings } = at.agreement.exchanges[start.index]!;
  contribution.model ??= await pullModel(at, contribution, start);
  const wanted = Object.keys(brings).length > 0;
  const brought = wanted ? await pullArrays(at, contribution, blobNamed(start, BROADCAST), brings) : {};
  return { model: contribution.model, brought };
}

/** The words of one exchange. Needs no connection. @throws TacitError train/*, report/not-finite, and those of the data source */
export function buildWords(at: Workplace, contribution: Contribution, stage: Stage, inputs: Inputs): Promise<Built> {
  const exchange = at.agreement.exchanges[stage.index]!;
  return exchange.name === 'statistics'
    ? measure(at, contribution, exchange, inputs)
    : train(at, contribution, exchange, inputs);
}

/** What every job of a round is given. */
function common(at: Workplace, { offer }: Contribution, model: NamedArrays): StatisticsInput {
  const { round, attempt } = offer;
  const { plan } = at.agreement;
  return { plan, model, source: at.source, seed: at.seed, participant: at.identity.id, round, attempt };
}

async function measure(
  at: Workplace,
  contribution: Contribution,
  exchange: Exchange,
  { model }: Inputs,
): Promise<Built> {
  const { signal } = contribution.stop;
  const { statistics, examples } = await at.trainer.run('statistics', common(at, contribution, model), { signal });
  return { words: buildReport(at.agreement.plan, exchange, { statistics }, examples), statistics };
}

async function train(
  at: Workplace,
  contribution: Contribution,
  exchange: Exchange,
  { model, brought }: Inputs,
): Promise<Built> {
  const { round, attempt } = contribution.offer;
  const own = (await contribution.stages[0]?.built)?.statistics;
  const input: TrainInput = {
    ...common(at, contribution, model),
    local: at.local,
    ...(own ? { shared: { ...(brought as Omit<SharedRound, 'own'>), own } } : {}),
  };
  const output = await at.trainer.run('train', input, {
    signal: contribution.stop.signal,
    onProgress: ({ done, total, loss }) =>
      at.emit({ type: 'training', round, attempt, step: done, steps: total, ...(loss === undefined ? {} : { loss }) }),
  });
  const { delta, loss, examples, steps, local } = output;
  const values = { delta, 'metrics/loss': Float32Array.of(loss) };
  const words = buildReport(at.agreement.plan, exchange, values, examples, noiseInputs(at, brought));
  at.emit({ type: 'trained', round, attempt, loss, examples, steps });
  return { words, ...(local ? { local } : {}) };
}

/** The operating system's randomness, and the clipping norm if the round brings one: it bounds the delta, which is divided by it. */
function noiseInputs({ crypto }: Workplace, { [CLIP_NORM]: brought }: NamedArrays): NoiseInputs {
  const clipNorm = brought?.data[0];
  if (clipNorm === undefined) return { crypto };
  if (clipNorm > 0) return { crypto, clipNorm };
  throw new TacitError('wire/unexpected', `a clipping norm of ${clipNorm}`);
}

/** The one blob of this name in the start of an exchange. @throws TacitError wire/unexpected */
function blobNamed(start: ExchangeStart, name: string): BlobRef {
  const found = start.blobs.find((blob) => blob.name === name);
  if (found) return found;
  throw new TacitError('wire/unexpected', `exchange ${start.index} comes without "${name}"`);
}

/** The arrays of a blob, with exactly these names and shapes, all finite. */
async function pullArrays(
  at: Workplace,
  { offer }: Contribution,
  ref: BlobRef,
  specs: NamedSpecs,
): Promise<NamedArrays> {
  const { round, attempt } = offer;
  const bytes = await at.download(ref, (done) =>
    at.emit({ type: 'downloading', round, attempt, bytes: done, total: ref.bytes }),
  );
  const arrays = decodeOnce(ref, bytes);
  checkAgainst(arrays, specs);
  return arrays;
}

/** The global model: the bytes of the offered hash. */
async function pullModel(at: Workplace, contribution: Contribution, start: ExchangeStart): Promise<NamedArrays> {
  const ref = blobNamed(start, MODEL);
  if (!equalBytes(ref.hash, contribution.offer.modelHash)) {
    throw new TacitError('wire/hash-mismatch', 'the exchange names another model than the offer');
  }
  return pullArrays(at, contribution, ref, at.agreement.model.aggregated);
}
