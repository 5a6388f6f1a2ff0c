/** `tacit finetune`: a classifier from a run's encoder and a few labels. */
import { type Command, Option } from 'commander';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface FinetuneOptions {
  readonly data: string;
  readonly test?: string;
  readonly labelColumn?: string;
  readonly plan?: string;
  readonly labelsPerClass?: number;
  readonly method?: 'lp-ft' | 'full' | 'head';
  readonly seed?: number;
  readonly engine: EngineChoice;
  readonly out?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addFinetune(program: Command, shell: Shell): void {
  const command = program
    .command('finetune')
    .description('fine-tune the encoder of a run on a few labels per class')
    .argument('<run>', 'run folder, or .safetensors file of an encoder')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(
    command,
    new Option(
      '--test <source>',
      'labelled images to score on (default: the test images of a bundled set, else a fifth of the data)',
    ),
    new Option('--label-column <name>', 'column of a CSV file that holds the label'),
    new Option('--labels-per-class <n>', 'labelled examples of each class to train on (default: all)').argParser(
      options.integer(1),
    ),
    new Option('--method <name>', 'how (default: what the plan says)').choices(['lp-ft', 'full', 'head']),
    options.planOption(),
    options.seedOption(),
    options.engineOption(),
    new Option('--out <file>', 'safetensors file for the tuned encoder and its head'),
    options.jsonOption(),
    options.quietOption(),
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
