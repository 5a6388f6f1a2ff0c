/** `tacit engine explain`: what the compiled engine makes of a plan, and where the time of a step goes. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { integer, jsonOption, seedOption, setOption, withExample, withOptions, withShorthands } from '../options.ts';
import type { Override } from '../overrides.ts';

export interface ExplainOptions {
  readonly set: readonly Override[];
  readonly seed?: number;
  readonly threads: number;
  readonly runs: number;
  readonly json?: boolean;
}

export function addEngineCommands(program: Command, shell: Shell): void {
  const engine = program.command('engine').description('look into the compiled engine');
  const explain = engine
    .command('explain')
    .description("trace a plan's training step: size and operators of the graph, and the profile of a step")
    .argument('<plan>', 'YAML or JSON file, or the name of a plan that comes with Tacit');
  withOptions(
    explain,
    new Option('--threads <n>', 'threads of a step').argParser(integer(1, 1024)).default(1),
    new Option('--runs <n>', 'steps to take the mean of').argParser(integer(1, 10_000)).default(5),
    setOption(),
    seedOption(),
    jsonOption(),
  );
  withShorthands(explain);
  withExample(
    explain,
    'tacit engine explain digits',
    'tacit engine explain fashion-mnist --set encoder=resnet --threads 2',
  );
  explain.action(
    action(shell, async (context, given: ExplainOptions, plan: string) => {
      const { explain } = await import('../engine-explain.ts');
      await explain(context, given, plan);
    }),
  );
}
