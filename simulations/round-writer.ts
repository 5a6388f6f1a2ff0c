/** Shows committed rounds while a run goes on, and writes them into its folder. */
import type { RunWriter } from '../learning/run-folder.ts';
import type { Plan } from '../protocol/plan.ts';
import type { CoordinatorEvent } from '../server/events.ts';
import type { SimulationIo } from './io.ts';

export interface RoundWriter {
  readonly onEvent: (event: CoordinatorEvent) => void;
  /** Resolves when everything is written. */
  finish(): Promise<void>;
}

/** @param run absent: rounds are shown only */
export function roundWriter(run: RunWriter | undefined, io: SimulationIo, plan: Plan): RoundWriter {
  const started = performance.now();
  let written: Promise<void> = Promise.resolve();
  let bytesUp = 0;
  let bytesDown = 0;
  const onEvent = (event: CoordinatorEvent): void => {
    // a round that was stopped says so by the error or the signal that stopped it
    if (event.type === 'failed' && event.code !== 'round/cancelled') {
      io.print(`round ${event.round + 1}, attempt ${event.attempt + 1}: ${event.message || event.code}`);
    }
    if (event.type !== 'committed') return;
    const { summary, model, links, serverKey } = event;
    const rounds = plan.rounds.count;
    bytesUp += summary.bytesUp;
    bytesDown += summary.bytesDown;
    const round = summary.round + 1;
    const secondsLeft = ((performance.now() - started) / 1000 / round) * (rounds - round);
    io.round({
      round,
      rounds,
      cohort: summary.participants,
      loss: summary.loss,
      epsilon: summary.epsilon,
      secondsLeft,
      bytesUp,
      bytesDown,
    });
    if (!run) return;
    written = written.then(async () => {
      await run.metrics({ type: 'round', ...summary });
      await run.checkpoint(round, model);
      await run.transcript(links, serverKey);
    });
    written.catch(() => {}); // `finish` reports it
  };
  return { onEvent, finish: () => written };
}
