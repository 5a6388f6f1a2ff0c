/** `tacit finetune`: a classifier from a run's encoder and a few labels. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface FinetuneOptions extends options.EncoderOptions, options.LabelOptions {
  readonly data: string;
  readonly labelsPerClass?: number;
  readonly method?: 'lp-ft' | 'full' | 'head';
  readonly out?: string;
}

export function addFinetune(program: Command, shell: Shell): void {
  const command = program
    .command('finetune')
    .description('fine-tune the encoder of a run on a few labels per class')
    .argument('<run>', 'run folder, or .safetensors file of an encoder')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(
    command,
    ...options.labelOptions(),
    new Option('--labels-per-class <n>', 'labelled examples of each class to train on (default: all)').argParser(
      options.integer(1),
    ),
    new Option('--method <name>', 'how (default: what the plan says)').choices(['lp-ft', 'full', 'head']),
    new Option('--out <file>', 'safetensors file for the tuned encoder and its head'),
    ...options.encoderOptions(),
  );
  options.withExample(
    command,
    'tacit finetune runs/digits --data digits --labels-per-class 10 --out classifier.safetensors',
  );
  command.action(
    action(shell, async (context, given: FinetuneOptions, run: string) => {
      const { finetune } = await import('../finetune.ts');
      await finetune(context, given, run);
    }),
  );
}
