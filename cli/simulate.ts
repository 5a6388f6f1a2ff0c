/** What `tacit simulate` does: virtual participants over the in-memory transport, and a run folder. */
import { weightsLines } from '../learning/initial-weights.ts';
import { simulate } from '../simulations/simulate.ts';
import type { SimulateOptions } from './commands/simulate.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { DATASETS } from './options.ts';
import { loadStart } from './plan-file.ts';
import { defaultOut, prepareOut, takePartition } from './run-options.ts';
import { formatBytes, formatCount, formatSeconds } from './units.ts';

/** Runs a simulation; without --data on the bundled data set that the plan's task is named after. */
export async function runSimulation(context: Context, options: SimulateOptions): Promise<void> {
  const { partition, overrides } = takePartition(options.set, options.partition);
  const start = await loadStart(options.plan, { overrides, seed: options.seed });
  const { plan, initialModel } = start;
  const data = await dataArgument(options.data ?? DATASETS.find((name) => name === plan.task) ?? 'digits');
  const out = await prepareOut(options.out ?? defaultOut(plan.task));
  if (start.report) context.print(weightsLines(start.report).join('\n'));
  closePoolsBeforeLeaving();
  const result = await simulate(
    {
      plan,
      data,
      participants: options.participants ?? plan.rounds.cohort,
      partition,
      engine: options.engine,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      initialModel,
      out,
      signal: context.signal,
    },
    context.io,
  );
  const last = result.history.at(-1);
  context.result(
    { ...result, out },
    [
      `${formatCount(result.participants, 'participant')} · ${result.partition} · ${formatCount(result.rounds, 'round')} in ${formatSeconds(result.seconds)} · ${result.engine}`,
      `↑ ${formatBytes(result.bytesUp)} ↓ ${formatBytes(result.bytesDown)}${last ? ` · loss ${last.loss.toFixed(3)}` : ''}`,
      `model ${result.modelHash}`,
      `run folder ${out}`,
    ].join('\n'),
  );
}
