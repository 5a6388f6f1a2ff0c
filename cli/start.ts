/** What `tacit start` does: plan, run folder, main job, table. */
import { weightsLines } from '../learning/initial-weights.ts';
import { runMainJob } from '../simulations/main-job.ts';
import type { StartOptions } from './commands/start.ts';
import type { Context } from './context.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { renderMainJob } from './main-job-table.ts';
import { bundledPlan, loadStart } from './plan-file.ts';
import { defaultOut, prepareOut, takePartition } from './run-options.ts';

/** Runs the main job; its plan is the data set's, with what `--quick` changes and then `--set` laid over it. */
export async function start(context: Context, options: StartOptions): Promise<void> {
  const { partition, overrides } = takePartition(options.set, options.partition);
  const begin = await loadStart(options.plan ?? bundledPlan(options.dataset), {
    overlays: options.quick ? [bundledPlan(`${options.dataset}.quick`)] : [],
    overrides,
    seed: options.seed,
  });
  const { plan, initialModel } = begin;
  if (begin.report) context.print(weightsLines(begin.report).join('\n'));
  const out = await prepareOut(options.out ?? defaultOut(plan.task));
  closePoolsBeforeLeaving();
  const result = await runMainJob(
    {
      plan,
      dataset: options.dataset,
      partition,
      participants: plan.rounds.cohort,
      quick: options.quick === true,
      engine: options.engine,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      initialModel,
      out,
      signal: context.signal,
    },
    context.io,
  );
  context.result(result, `${renderMainJob(result)}\nrun folder ${out} (open report.html in a browser)`);
}
