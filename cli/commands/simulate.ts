/** `tacit simulate`: the same participants without sockets, many of them in one process. */
import { type Command, Option } from 'commander';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';
import type { Override } from '../overrides.ts';

export interface SimulateOptions {
  readonly plan: string;
  readonly data?: string;
  readonly participants?: number;
  readonly set: readonly Override[];
  readonly seed?: number;
  readonly partition?: options.PartitionChoice;
  readonly engine: EngineChoice;
  readonly workers?: number;
  readonly out?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addSimulate(program: Command, shell: Shell): void {
  const command = program.command('simulate').description('run a federation of virtual participants in this process');
  options.withOptions(
    command,
    options.planOption().default('digits'),
    options.dataOption(),
    new Option('--participants <n>', 'virtual participants (default: the cohort of the plan)').argParser(
      options.integer(1, 100_000),
    ),
    options.partitionOption(),
    options.setOption(),
    options.seedOption(),
    options.engineOption(),
    options.workersOption(),
    options.outOption(),
    options.jsonOption(),
    options.quietOption(),
  );
  options.withShorthands(command, { alpha: true });
  options.withExample(
    command,
    'tacit simulate --plan digits --participants 50 --partition dirichlet:0.1 --set cohort=10',
  );
  command.action(
    action(shell, async (context, given: SimulateOptions) => {
      const { runSimulation } = await import('../simulate.ts');
      await runSimulation(context, given);
    }),
  );
}
