/** What `tacit export` does: finds the weights, writes the file and its model card, and says what goes in and comes out. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { type CardHead, dataContract, modelCard } from '../learning/export/model-card.ts';
import { type Exported, exportedWeights, exportOnnx, GRAPH_NAMES } from '../learning/export/onnx.ts';
import { headOf } from '../learning/fine-tuning.ts';
import { encoderOf } from '../learning/methods.ts';
import { type OpenRun, openRun, planBytesOf, readOutcome } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import { encodeSafetensors } from '../protocol/safetensors.ts';
import { type NamedArrays, sizeOf } from '../protocol/tensors.ts';
import type { ExportOptions } from './commands/export.ts';
import type { Context } from './context.ts';
import { writeOutput } from './output-file.ts';
import { loadPlan } from './plan-file.ts';
import { embedLabelled, openTrainedEncoder, scoreFeatures } from './trained-encoder.ts';
import { formatBytes, formatCount, formatPercent } from './units.ts';

/** Weights with the head that goes with them. */
interface Chosen {
  readonly weights: NamedArrays;
  readonly head?: CardHead;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Encoder and head of one file; `run` says which encoder was asked for. */
function classifierOf(file: OpenRun, run: OpenRun, flag: string): Chosen {
  if (Object.keys(file.head).length === 0) {
    throw new TacitError('weights/mismatch', `${file.path} holds an encoder without a head.`, {
      where: flag,
      hint: 'Name a classifier that `tacit finetune … --out FILE` wrote, or give labelled images with --data for a linear probe.',
    });
  }
  const same = (key: 'encoder' | 'data'): boolean => JSON.stringify(file.plan[key]) === JSON.stringify(run.plan[key]);
  if (!same('encoder') || !same('data')) {
    throw new TacitError('weights/mismatch', `${file.path} has another encoder than ${run.path}.`, { where: flag });
  }
  const classes = JSON.parse(file.metadata.classes ?? '[]') as string[];
  const origin = `fine-tuned with the encoder on labelled images (${basename(file.path)})`;
  return { weights: { ...file.model, ...file.head }, head: { origin, classes } };
}

/** A linear probe on the labels of --data, scored on images that were set aside. Its weights are over raw features. */
async function probed(context: Context, options: ExportOptions & { data: string }, path: string): Promise<Chosen> {
  const trained = await openTrainedEncoder(context, path, options);
  const { run, pool } = trained;
  const seed = options.seed ?? run.plan.seed;
  const { train, test } = await embedLabelled(context, trained, options, seed);
  const { linear } = await scoreFeatures(context, trained, train, test, seed);
  await pool.close();
  return {
    weights: { ...run.model, ...headOf(linear!.probe) },
    head: {
      origin: `linear probe on ${formatCount(train.features.rows)} labelled images of ${options.data}`,
      classes: train.classes,
      accuracy: { value: linear!.accuracy, images: test.features.rows },
    },
  };
}

async function choose(context: Context, options: ExportOptions, run: OpenRun, path: string): Promise<Chosen> {
  const { head, data } = options;
  if (head === undefined) return { weights: run.model };
  if (head !== true) return classifierOf(await openRun(head), run, `--head ${head}`);
  if (data !== undefined) return probed(context, { ...options, data }, path);
  return classifierOf(run, run, '--head');
}

/** Exports and describes. */
export async function exportRun(context: Context, options: ExportOptions, path: string): Promise<void> {
  const { format, out } = options;
  const run = await openRun(path, options.plan === undefined ? undefined : await loadPlan(options.plan));
  const { plan } = run;
  const { weights, head } = await choose(context, options, run, path);
  const exported: Exported = { plan, weights, classes: head?.classes };
  const { result, lastRound } = await readOutcome(path);
  const planBytes = run.planBytes ?? planBytesOf(plan);
  const metadata = {
    plan: new TextDecoder().decode(planBytes),
    planHash: sha256(planBytes),
    data: JSON.stringify(dataContract(plan, format)),
    ...(head ? { classes: JSON.stringify(head.classes) } : {}),
    ...(typeof result.modelHash === 'string' ? { modelHash: result.modelHash } : {}),
  };
  const arrays = exportedWeights(exported);
  const bytes = format === 'onnx' ? exportOnnx(exported, metadata) : encodeSafetensors(arrays, metadata);
  const facts = { plan, format, file: basename(out), sha256: sha256(bytes), planHash: metadata.planHash };
  await writeOutput('--out', out, bytes);
  await writeOutput('--out', `${out}.md`, modelCard({ ...facts, head, result, lastRound }));
  const parameters = Object.values(arrays).reduce((n, { shape }) => n + sizeOf(shape), 0);
  const outputs = {
    [GRAPH_NAMES.embeddings]: ['batch', encoderOf(plan).dim(plan.encoder)],
    ...(head ? { [GRAPH_NAMES.logits]: ['batch', head.classes.length] } : {}),
  };
  const { accuracy } = head ?? {};
  context.result(
    {
      file: out,
      card: `${out}.md`,
      format,
      bytes: bytes.length,
      sha256: facts.sha256,
      parameters,
      input: dataContract(plan, format),
      outputs,
      head: head ? { origin: head.origin, classes: head.classes, accuracy: accuracy?.value ?? null } : null,
    },
    [
      `${format}  ${out} (${formatBytes(bytes.length)}, ${formatCount(parameters)} parameters)`,
      `input   ${GRAPH_NAMES.input} [batch, ${plan.data.shape.join(', ')}] from 0 to 1`,
      `output  ${Object.entries(outputs)
        .map(([name, shape]) => `${name} [${shape.join(', ')}]`)
        .join(', ')}`,
      ...(head ? [`head    ${head.origin}${accuracy ? `, ${formatPercent(accuracy.value)} % right` : ''}`] : []),
      `card    ${out}.md`,
    ].join('\n'),
  );
}
