/** `tacit data check`: what a folder or file holds, and whether it fits a plan, before anyone joins with it. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { integer, jsonOption, planOption, quietOption, withExample, withOptions } from '../options.ts';

interface Options {
  readonly plan?: string;
  readonly labelColumn?: string;
  readonly limit?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addDataCommands(program: Command, shell: Shell): void {
  const data = program.command('data').description('look at data');
  const check = data
    .command('check')
    .description('count, sizes, range and unreadable files of a data source, and how it fits a plan')
    .argument('<path>', 'folder of images, IDX or CSV file, or a bundled data set: digits, fashion-mnist');
  withOptions(
    check,
    planOption(),
    new Option('--label-column <name>', 'column of a CSV file that holds the label'),
    new Option('--limit <n>', 'look at no more than n examples, spread evenly').argParser(integer(1)),
    jsonOption(),
    quietOption(),
  );
  withExample(check, 'tacit data check ~/pictures --plan plans/digits.yaml');
  check.action(
    action(shell, async (context, options: Options, path: string) => {
      const [{ dataArgument }, { reportOn, renderDataReport }] = await Promise.all([
        import('../data-argument.ts'),
        import('../data-report.ts'),
      ]);
      const plan =
        options.plan === undefined ? undefined : await (await import('../plan-file.ts')).loadPlan(options.plan);
      const report = await reportOn(await dataArgument(path, options.labelColumn), plan, {
        ...(options.limit === undefined ? {} : { limit: options.limit }),
        signal: context.signal,
        onProgress: ({ done, total }) => context.progress.live(`looked at ${done} of ${total}`),
      });
      context.result(report, renderDataReport(report, plan));
      if (report.problems[0]) context.reject(report.problems[0]);
    }),
  );
}
