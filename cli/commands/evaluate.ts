/** `tacit evaluate`: how good the encoder of a run is on labelled data. */
import { type Command, Option } from 'commander';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface EvaluateOptions {
  readonly data: string;
  readonly test?: string;
  readonly labelColumn?: string;
  readonly plan?: string;
  readonly seed?: number;
  readonly engine: EngineChoice;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addEvaluate(program: Command, shell: Shell): void {
  const command = program
    .command('evaluate')
    .description(
      'linear probe, nearest neighbours, confusion, effective rank, alignment and uniformity of the encoder of a run',
    )
    .argument('<run>', 'run folder, or .safetensors file of an encoder')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(
    command,
    new Option(
      '--test <source>',
      'labelled images to score on (default: the test images of a bundled set, else a fifth of the data)',
    ),
    new Option('--label-column <name>', 'column of a CSV file that holds the label'),
    options.planOption(),
    options.seedOption(),
    options.engineOption(),
    options.jsonOption(),
    options.quietOption(),
  );
  options.withExample(command, 'tacit evaluate runs/digits --data digits --json');
  command.action(
    action(shell, async (context, given: EvaluateOptions, run: string) => {
      const { evaluate } = await import('../evaluate.ts');
      await evaluate(context, given, run);
    }),
  );
}
