/** `tacit evaluate`: how good the encoder of a run is on labelled data. */
import type { Command } from 'commander';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface EvaluateOptions extends options.EncoderOptions, options.LabelOptions {
  readonly data: string;
}

export function addEvaluate(program: Command, shell: Shell): void {
  const command = program
    .command('evaluate')
    .description(
      'linear probe, nearest neighbours, confusion, effective rank, alignment and uniformity of the encoder of a run',
    )
    .argument('<run>', 'run folder, or .safetensors file of an encoder')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(command, ...options.labelOptions(), ...options.encoderOptions());
  options.withExample(command, 'tacit evaluate runs/digits --data digits --json');
  command.action(
    action(shell, async (context, given: EvaluateOptions, run: string) => {
      const { evaluate } = await import('../evaluate.ts');
      await evaluate(context, given, run);
    }),
  );
}
