/** A participant under test: its options with a trainer that does as it is told, its events, and a way to wait for them. */
import type { Trainer } from '../../../client/build-words.ts';
import type { ParticipantEvent } from '../../../client/events.ts';
import type { JoinOptions, JoinResult } from '../../../client/join-options.ts';
import { joinFederation } from '../../../client/participant.ts';
import { modelOf } from '../../../learning/model.ts';
import type { StatisticsInput, StatisticsOutput } from '../../../learning/pool/jobs/statistics.ts';
import type { TrainInput, TrainOutput } from '../../../learning/pool/jobs/train.ts';
import type { RunOptions } from '../../../learning/pool/scheduler.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { dimensionOf } from '../../../protocol/flatten.ts';
import { identityFromSeed } from '../../../protocol/identity.ts';
import type { FakeCoordinator } from './fake-coordinator.ts';

/** A trainer whose training ends when it is told to, unless it is told nothing: then at once. */
export interface FakeTrainer extends Trainer {
  engine: string;
  reason?: string;
  readonly inputs: TrainInput[];
  /** Of the jobs `statistics`. */
  readonly measured: StatisticsInput[];
  /** Trainings that were cancelled. */
  cancelled: number;
  /** When set, training waits for it. */
  gate: Promise<unknown> | undefined;
  /** What training gives, or throws. */
  output: (input: TrainInput) => TrainOutput;
  /** What is measured, or thrown. */
  statistics: (input: StatisticsInput) => StatisticsOutput;
}

export const plainOutput = (input: TrainInput): TrainOutput => ({
  delta: new Float32Array(dimensionOf(modelOf(input.plan).aggregated)).fill(1e-3),
  examples: 10,
  loss: 0.5,
  steps: input.plan.training.steps,
});

const plainStatistics = (input: StatisticsInput): StatisticsOutput => ({
  statistics: new Float32Array(modelOf(input.plan).reportShape.statistics!.length).fill(0.01),
  examples: 10,
});

export function fakeTrainer(): FakeTrainer {
  const run = async (name: string, input: TrainInput, options: RunOptions = {}): Promise<unknown> => {
    if (name === 'statistics') {
      trainer.measured.push(input);
      return trainer.statistics(input);
    }
    trainer.inputs.push(input);
    const { signal, onProgress } = options;
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => {
        trainer.cancelled += 1;
        reject(new TacitError('train/cancelled', 'stopped'));
      });
    });
    aborted.catch(() => {});
    await Promise.race([trainer.gate, aborted]);
    onProgress?.({ done: 1, total: input.plan.training.steps, loss: 0.5 });
    return trainer.output(input);
  };
  const trainer: FakeTrainer = {
    engine: 'eager:test',
    inputs: [],
    measured: [],
    cancelled: 0,
    gate: undefined,
    output: plainOutput,
    statistics: plainStatistics,
    run: run as FakeTrainer['run'],
  };
  return trainer;
}

/** Keeps training from ending. @returns lets it end */
export function holdTraining(trainer: FakeTrainer): () => void {
  let release = (): void => {};
  trainer.gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  return release;
}

type EventOf<T extends ParticipantEvent['type']> = Extract<ParticipantEvent, { type: T }>;

/** A participant that has been started. */
export interface Started {
  readonly events: ParticipantEvent[];
  readonly trainer: FakeTrainer;
  readonly result: Promise<JoinResult>;
  readonly stop: AbortController;
  /** The n-th event of this type (from 0), when it comes. */
  event<T extends ParticipantEvent['type']>(type: T, n?: number): Promise<EventOf<T>>;
}

export async function start(
  coordinator: Pick<FakeCoordinator, 'listener'>,
  changes: Partial<JoinOptions> = {},
  trainer = fakeTrainer(),
): Promise<Started> {
  const events: ParticipantEvent[] = [];
  const waiting = new Set<() => void>();
  const stop = new AbortController();
  const result = joinFederation({
    connect: async () => coordinator.listener.connect(),
    crypto: nodeCrypto,
    identity: await identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32)),
    trainer,
    source: { kind: 'bundled', name: 'digits', split: 'train' },
    backoff: { firstMs: 2, maxMs: 10 },
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event);
      for (const look of [...waiting]) look();
    },
    ...changes,
  });
  result.catch(() => {});
  const event = <T extends ParticipantEvent['type']>(type: T, n = 0): Promise<EventOf<T>> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = events.filter((e): e is EventOf<T> => e.type === type)[n];
        if (!found) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
      result.then(
        () => reject(new Error(`it ended without a ${n + 1}. event "${type}": ${events.map((e) => e.type)}`)),
        reject,
      );
    });
  return { events, trainer, result, stop, event };
}
