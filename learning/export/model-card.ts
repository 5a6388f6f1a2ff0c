/**
 * The model card that lies beside an exported file: what goes in and comes out, how it was trained, what it is worth and what
 * was spent of its participants' privacy. Made from the plan and from what the run wrote down; what nobody measured is not said.
 */
import type { Plan } from '../../protocol/plan.ts';
import { trustStatement } from '../../protocol/trust.ts';
import { encoderOf, pretextOf } from '../methods.ts';
import { modelOf, parameterCount } from '../model.ts';
import { GRAPH_NAMES } from './onnx.ts';

export type ExportFormat = 'onnx' | 'safetensors';

export interface CardHead {
  /** Where it came from, in words. */
  readonly origin: string;
  readonly classes: readonly string[];
  /** Fraction of test images that it labels correctly, if it was scored. */
  readonly accuracy?: { readonly value: number; readonly images: number } | undefined;
}

export interface CardFacts {
  readonly plan: Plan;
  readonly format: ExportFormat;
  /** Name of the exported file, without its folder. */
  readonly file: string;
  /** SHA-256 of the exported file. */
  readonly sha256: string;
  readonly planHash: string;
  readonly head?: CardHead | undefined;
  /** result.json of the run; empty if there is none. */
  readonly result: Readonly<Record<string, unknown>>;
  /** The last committed round of metrics.jsonl; empty if there is none. */
  readonly lastRound: Readonly<Record<string, unknown>>;
}

const RESIZE: Readonly<Record<Plan['data']['resize'], string>> = {
  error: 'images of another size are refused',
  cover: 'other sizes fill the frame and are cropped around the centre',
  contain: 'other sizes are fitted into the frame and padded with zeros',
};

/** The data contract as plain data, as it also stands in the ONNX file's metadata. */
export function dataContract({ data }: Plan, format: ExportFormat): Readonly<Record<string, unknown>> {
  const [height, width, channels] = data.shape;
  return {
    name: GRAPH_NAMES.input,
    shape: ['batch', height, width, channels],
    layout: 'NHWC',
    type: 'float32',
    range: [0, 1],
    channels: channels === 1 ? 'grey' : 'RGB',
    resize: data.resize,
    normalisation: { ...data.normalisation, applied: format === 'onnx' ? 'inside the graph' : 'by the caller' },
  };
}

const percent = (fraction: number): string => `${(100 * fraction).toFixed(1)} %`;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function contractLines({ plan, format, head }: CardFacts): string[] {
  const { data } = plan;
  const [height, width, channels] = data.shape;
  const { mean, std } = data.normalisation;
  const normalised =
    format === 'onnx'
      ? 'is part of the graph: do not apply it'
      : 'must be applied before the first layer, as it was in training';
  return [
    `* **Input** \`${GRAPH_NAMES.input}\`: float32 [batch, ${height}, ${width}, ${channels}], ${channels === 1 ? 'grey' : 'RGB'}, channels last, any batch.`,
    '* **Values** from 0 to 1: the full range of the image file (0…255 of an 8-bit image, 0…65535 of a 16-bit one).',
    `* **Size**: ${RESIZE[data.resize]}.`,
    `* **Normalisation** (x − mean) / std with mean [${mean.join(', ')}] and std [${std.join(', ')}] ${normalised}.`,
    `* **Output** \`${GRAPH_NAMES.embeddings}\`: float32 [batch, ${encoderOf(plan).dim(plan.encoder)}].`,
    ...(head
      ? [
          `* **Output** \`${GRAPH_NAMES.logits}\`: float32 [batch, ${head.classes.length}], one score per class; softmax makes probabilities of them. In this order: ${head.classes.join(', ')}.`,
        ]
      : []),
  ];
}

function trainingLines({ plan, result, lastRound }: CardFacts): string[] {
  const { rounds, training, encoder, pretext, augmentation, strategy } = plan;
  const made = isNumber(result.rounds) ? result.rounds : undefined;
  const { participants } = result;
  const loss = lastRound.loss;
  const start = plan.initialWeights !== undefined;
  return [
    `* **Encoder** \`${encoder.name}\`, ${parameterCount(modelOf(plan).encoderSpecs).toLocaleString('en-US')} parameters, started from ${start ? 'pre-trained weights' : `random weights (seed ${plan.seed})`}.`,
    `* **Pretext task** \`${pretext.name}\` (${pretextOf(plan).paper}), augmentation \`${augmentation.name}\`; no labels.`,
    `* **Rounds** ${made ?? 'not recorded; planned'}${made === undefined ? ` ${rounds.count}` : ` of ${rounds.count}`}, cohort ${rounds.cohort}${isNumber(participants) ? `, ${participants} participants` : ''}; strategy \`${strategy.name}\`.`,
    `* **Local training** ${training.steps} steps of ${training.batch} images a round, ${training.optimiser.name}, learning rate ${training.optimiser.learningRate}.`,
    ...(isNumber(loss) ? [`* **Loss** of the last round: ${loss.toPrecision(5)}.`] : []),
    ...(typeof result.modelHash === 'string' ? [`* **Model hash** of the run: \`${result.modelHash}\`.`] : []),
  ];
}

interface Curve {
  readonly mean: readonly number[];
  readonly sd: readonly number[];
}
const isCurve = (value: unknown): value is Curve =>
  typeof value === 'object' && value !== null && 'mean' in value && 'sd' in value && Array.isArray(value.mean);

/** The rows of a main job's table, if the run was one. */
function tableLines({ labelsPerClass, rows }: Readonly<Record<string, unknown>>): string[] {
  if (!Array.isArray(labelsPerClass) || typeof rows !== 'object' || rows === null) return [];
  const lines = Object.entries(rows).flatMap(([name, curve]) =>
    isCurve(curve)
      ? [
          `| ${name} | ${curve.mean.map((m, i) => `${percent(m)} ± ${(100 * (curve.sd[i] ?? 0)).toFixed(1)}`).join(' | ')} |`,
        ]
      : [],
  );
  if (lines.length === 0) return [];
  return [
    `| test accuracy by labels per class | ${labelsPerClass.join(' | ')} |`,
    `|---|${labelsPerClass.map(() => '---').join('|')}|`,
    ...lines,
    '',
  ];
}

function metricLines({ head, result }: CardFacts): string[] {
  const { knn, rankMe } = result;
  const lines = [
    ...tableLines(result),
    ...(isNumber(knn) ? [`* **Nearest neighbours** with all labels: ${percent(knn)}.`] : []),
    ...(isNumber(rankMe) ? [`* **RankMe** (effective dimensions): ${rankMe.toFixed(1)}.`] : []),
    ...(head ? [`* **Head**: ${head.origin}.`] : []),
    ...(head?.accuracy
      ? [`* **Head's accuracy**: ${percent(head.accuracy.value)} of ${head.accuracy.images} test images.`]
      : []),
  ];
  return lines.length > 0 ? lines : ['Nothing was measured in this run; `tacit evaluate` does.'];
}

/** One line for each entry of what the accountants wrote down. */
function spentLines(spent: unknown): string[] | undefined {
  if (typeof spent !== 'object' || spent === null) return undefined;
  return Object.entries(spent).map(
    ([key, value]) => `* **${key}**: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
}

function privacyLines({ plan, result }: CardFacts): string[] {
  const none =
    'No noise was added: differential privacy was not used, so no ε bounds what these weights say about a single participant.';
  return [trustStatement(plan), '', ...(spentLines(result.privacySpent ?? result.privacy) ?? [none])];
}

function usageLines({ format, file, head }: CardFacts): string[] {
  const outputs = head ? 'embeddings, logits' : 'embeddings,';
  const onnx = [
    'import numpy, onnxruntime',
    `session = onnxruntime.InferenceSession("${file}")`,
    `images = ...  # numpy.float32, as the data contract says`,
    `${outputs} = session.run(None, {"${GRAPH_NAMES.input}": images})`,
  ];
  const safetensors = ['from safetensors.numpy import load_file', `weights = load_file("${file}")`];
  return ['```python', ...(format === 'onnx' ? onnx : safetensors), '```'];
}

/** The card as Markdown. */
export function modelCard(facts: CardFacts): string {
  const { plan, file, sha256, planHash, head } = facts;
  const what = head ? `classifier of ${head.classes.length} classes` : 'encoder';
  return [
    `# ${plan.task}: ${what}`,
    '',
    `\`${file}\`, SHA-256 \`${sha256}\`, exported by Tacit. Pre-trained without labels by a federation; the images stayed with its participants.`,
    '',
    '## Data contract',
    '',
    ...contractLines(facts),
    '',
    ...usageLines(facts),
    '',
    '## Training',
    '',
    ...trainingLines(facts),
    '',
    '## Measured',
    '',
    ...metricLines(facts),
    '',
    '## Privacy',
    '',
    ...privacyLines(facts),
    '',
    '## Plan',
    '',
    `SHA-256 \`${planHash}\``,
    '',
    '```json',
    JSON.stringify(plan, null, 2),
    '```',
    '',
  ].join('\n');
}
