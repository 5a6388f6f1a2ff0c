/** `tacit start`: the main job, from real images over real sockets to the table. What `npm start` runs. */
import { type Command, Option } from 'commander';
import type { BundledName } from '../../learning/data/source.ts';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';
import type { Override } from '../overrides.ts';

export interface StartOptions {
  readonly dataset: BundledName;
  readonly plan?: string;
  readonly quick?: boolean;
  readonly set: readonly Override[];
  readonly seed?: number;
  readonly partition?: options.PartitionChoice;
  readonly engine: EngineChoice;
  readonly workers?: number;
  readonly out?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addStart(program: Command, shell: Shell): void {
  const command = program
    .command('start')
    .description('the main job: a coordinator and ten participants on this machine, and what it was good for');
  options.withOptions(
    command,
    options.datasetOption().default('digits'),
    new Option('--quick', 'everything once in less than a minute: fewer rounds and draws'),
    options.planOption(),
    options.setOption(),
    options.seedOption(),
    options.partitionOption(),
    options.engineOption(),
    options.workersOption(),
    options.outOption(),
    options.jsonOption(),
    options.quietOption(),
  );
  options.withShorthands(command, { alpha: true });
  options.withExample(
    command,
    'npm start',
    'npm start -- --quick --seed 7',
    'npm start --silent -- --set rounds=3 --set alpha=0.1 --json   # without --silent, npm puts two lines of its own before the JSON',
  );
  command.action(
    action(shell, async (context, given: StartOptions) => {
      const { start } = await import('../start.ts');
      await start(context, given);
    }),
  );
}
