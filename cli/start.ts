/** What `tacit start` does: plan, run folder, main job, table. */
import { runMainJob } from '../simulations/main-job.ts';
import type { StartOptions } from './commands/start.ts';
import type { Context } from './context.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { renderMainJob } from './main-job-table.ts';
import { bundledPlan, loadPlan } from './plan-file.ts';
import { defaultOut, prepareOut, takePartition } from './run-options.ts';

/** Runs the main job; its plan is the data set's, with what `--quick` changes and then `--set` laid over it. */
export async function start(context: Context, options: StartOptions): Promise<void> {
  const { partition, overrides } = takePartition(options.set, options.partition);
  const plan = await loadPlan(options.plan ?? bundledPlan(options.dataset), {
    overlays: options.quick ? [bundledPlan(`${options.dataset}.quick`)] : [],
    overrides,
    seed: options.seed,
  });
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
      out,
      signal: context.signal,
    },
    context.io,
  );
  context.result(result, `${renderMainJob(result)}\nrun folder ${out} (open report.html in a browser)`);
}
