/** `tacit embed`: the features of a data source under the encoder of a run. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface EmbedOptions extends Omit<options.EncoderOptions, 'seed'>, Pick<options.LabelOptions, 'labelColumn'> {
  readonly data: string;
  readonly format: 'jsonl' | 'csv';
  readonly limit?: number;
  readonly out?: string;
}

export function addEmbed(program: Command, shell: Shell): void {
  const command = program
    .command('embed')
    .description('write the features of a data source, one line for each example')
    .argument('<run>', 'run folder, or .safetensors file of an encoder')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(
    command,
    options.labelColumnOption(),
    new Option('--format <name>', 'one JSON object per line, or comma-separated values')
      .choices(['jsonl', 'csv'])
      .default('jsonl'),
    new Option('--limit <n>', 'no more than the first n examples').argParser(options.integer(1)),
    new Option('--out <file>', 'file to write (default: stdout)'),
    options.planOption(),
    options.engineOption(),
    new Option(
      '--json',
      'one JSON line {inputs, embeddings}: images [n][height][width][channels] in [0, 1], as an exported graph takes them, and their features',
    ),
    options.quietOption(),
  );
  options.withExample(
    command,
    'tacit embed runs/digits --data ~/pictures --format csv --out features.csv',
    'tacit embed runs/digits --data digits:test --limit 8 --json',
  );
  command.action(
    action(shell, async (context, given: EmbedOptions, run: string) => {
      const { embed } = await import('../embed.ts');
      await embed(context, given, run);
    }),
  );
}
