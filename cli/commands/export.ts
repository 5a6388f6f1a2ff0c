/** `tacit export`: the encoder of a run, alone or with a classifier's head, for other programs. */
import { type Command, Option } from 'commander';
import type { ExportFormat } from '../../learning/export/model-card.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface ExportOptions extends options.EncoderOptions, options.LabelOptions {
  readonly format: ExportFormat;
  readonly out: string;
  /** A classifier's file; true: a probe on `data`, or the head of the run's own file. */
  readonly head?: string | true;
  readonly data?: string;
}

export function addExport(program: Command, shell: Shell): void {
  const command = program
    .command('export')
    .description('write the encoder of a run as ONNX or safetensors, with a model card beside it')
    .argument('<run>', 'run folder, or .safetensors file of an encoder or a classifier');
  options.withOptions(
    command,
    new Option('--format <name>', 'file format').choices(['onnx', 'safetensors']).makeOptionMandatory(),
    new Option('--out <file>', 'file to write; its model card is FILE.md').makeOptionMandatory(),
    new Option(
      '--head [file]',
      'with a head: of a classifier that `tacit finetune --out` wrote (its tuned encoder comes with it); without a file, a linear probe on the labels of --data',
    ),
    options.dataOption(),
    ...options.labelOptions('labelled images to score the probe on'),
    ...options.encoderOptions(),
  );
  options.withExample(
    command,
    'tacit export runs/digits --format onnx --out encoder.onnx',
    'tacit export runs/digits --format onnx --head classifier.safetensors --out classifier.onnx',
    'tacit export runs/digits --format onnx --head --data labelled/ --out classifier.onnx',
  );
  command.action(
    action(shell, async (context, given: ExportOptions, run: string) => {
      const { exportRun } = await import('../export.ts');
      await exportRun(context, given, run);
    }),
  );
}
