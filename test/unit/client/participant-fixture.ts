/** A participant under test: its options with a trainer that does as it is told, its events, and a way to wait for them. */

import type { Trainer } from '../../../client/contribution.ts';
import type { ParticipantEvent } from '../../../client/events.ts';
import type { JoinOptions, JoinResult } from '../../../client/join-options.ts';
import { joinFederation } from '../../../client/participant.ts';
import { modelOf } from '../../../learning/model.ts';
import type { TrainInput, TrainOutput } from '../../../learning/pool/jobs/train.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { dimensionOf } from '../../../protocol/flatten.ts';
import { identityFromSeed } from '../../../protocol/identity.ts';
import type { FakeCoordinator } from './fake-coordinator.ts';

/** A trainer whose training ends when it is told to, unless it is told nothing: then at once. */
export interface FakeTrainer extends Trainer {
  readonly engine: string;
  readonly inputs: TrainInput[];
  /** Trainings that were cancelled. */
  cancelled: number;
  /** When set, training waits for it. */
  gate: Promise<unknown> | undefined;
  /** What training gives, or throws. */
  output: (input: TrainInput) => TrainOutput;
}

export const plainOutput = (input: TrainInput): TrainOutput => ({
  delta: new Float32Array(dimensionOf(modelOf(input.plan).aggregated)).fill(1e-3),
  examples: 10,
  loss: 0.5,
  steps: input.plan.training.steps,
});

export function fakeTrainer(): FakeTrainer {
  const trainer: FakeTrainer = {
    engine: 'eager:test',
    inputs: [],
    cancelled: 0,
    gate: undefined,
    output: plainOutput,
    async run(_name, input, options = {}) {
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
    },
  };
  return trainer;
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
