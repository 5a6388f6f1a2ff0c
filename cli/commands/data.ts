/** `tacit data`: whether a folder or file fits a plan, and what its images look like to a pretext task, before anyone joins. */
import { type Command, Option } from 'commander';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import {
  engineOption,
  integer,
  jsonOption,
  labelColumnOption,
  planOption,
  quietOption,
  seedOption,
  withExample,
  withOptions,
} from '../options.ts';

interface CheckOptions {
  readonly plan?: string;
  readonly labelColumn?: string;
  readonly limit?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export interface PreviewOptions {
  readonly plan: string;
  readonly out: string;
  readonly count: number;
  readonly views: number;
  readonly seed?: number;
  readonly labelColumn?: string;
  readonly engine: EngineChoice;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const PATH = 'folder of images, IDX or CSV file, or a bundled data set: digits, fashion-mnist';

export function addDataCommands(program: Command, shell: Shell): void {
  const data = program.command('data').description('look at data');
  addCheck(data, shell);
  addPreview(data, shell);
}

function addPreview(data: Command, shell: Shell): void {
  const command = data
    .command('preview')
    .description('write a picture of some images and of the augmented views that a plan makes of them')
    .argument('<path>', PATH);
  withOptions(
    command,
    planOption().makeOptionMandatory(),
    new Option('--out <file>', 'PNG file to write').default('views.png'),
    new Option('--count <n>', 'examples, drawn by the seed').argParser(integer(1, 1000)).default(8),
    new Option('--views <n>', 'views of each').argParser(integer(1, 100)).default(8),
    seedOption(),
    labelColumnOption(),
    engineOption(),
    jsonOption(),
    quietOption(),
  );
  withExample(command, 'tacit data preview digits --plan digits --out views.png');
  command.action(
    action(shell, async (context, options: PreviewOptions, path: string) => {
      const { preview } = await import('../preview.ts');
      await preview(context, options, path);
    }),
  );
}

function addCheck(data: Command, shell: Shell): void {
  const check = data
    .command('check')
    .description('count, sizes, range and unreadable files of a data source, and how it fits a plan')
    .argument('<path>', PATH);
  withOptions(
    check,
    planOption(),
    labelColumnOption(),
    new Option('--limit <n>', 'look at no more than n examples, spread evenly').argParser(integer(1)),
    jsonOption(),
    quietOption(),
  );
  withExample(check, 'tacit data check ~/pictures --plan plans/digits.yaml');
  check.action(
    action(shell, async (context, options: CheckOptions, path: string) => {
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
