/**
 * The encoder of a run, alone or with a classifier's head, as an ONNX model that any runtime takes: the weights in it under
 * their own names, the plan's normalisation in it, its batch axis symbolic. Traced as every program here is.
 */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import { withBatch } from '../engine/compile.ts';
import type { Program } from '../engine/engine.ts';
import { symbolicBatch } from '../engine/onnx/symbolic-batch.ts';
import { writeModel } from '../engine/onnx/writer.ts';
import { portable } from '../engine/rewrites/portable.ts';
import { traceProgram } from '../engine/trace/trace.ts';
import { headSpecs } from '../fine-tuning.ts';
import { encoderOf } from '../methods.ts';
import { modelOf } from '../model.ts';
import { within } from '../names.ts';
import { pick } from '../pool/arrays.ts';
import { normalise } from '../views.ts';

/** Sizes for which the graph is traced: primes, so that no other dimension is mistaken for the batch. */
const SIZES = [1009, 1013] as const;

/** Names of the exported graph's input and outputs. */
export const GRAPH_NAMES = { input: 'images', embeddings: 'embeddings', logits: 'logits' } as const;

/** What is exported. */
export interface Exported {
  readonly plan: Plan;
  /** `encoder/…`, and `head/…` with a head; others are ignored. */
  readonly weights: NamedArrays;
  /** Classes of the head; absent: the encoder alone. */
  readonly classes?: readonly string[] | undefined;
}

/** The weights that an export holds, each of its shape. @throws TacitError weights/mismatch */
export function exportedWeights({ plan, weights, classes }: Exported): NamedArrays {
  const specs = { ...modelOf(plan).encoderSpecs, ...(classes ? headSpecs(plan, classes.length) : {}) };
  return pick(weights, specs, classes ? 'the classifier' : 'the encoder');
}

/** `images` [−1, h, w, c] in [0, 1] → `embeddings` [−1, dim] and, with a head, `logits` [−1, classes]. */
function exportProgram({ plan }: Exported, weights: NamedArrays): Program {
  return {
    name: `${plan.task} ${plan.encoder.name}`,
    inputs: {
      ...weights,
      [GRAPH_NAMES.input]: { shape: [-1, ...plan.data.shape], dtype: 'float32' },
    },
    run: (nn, inputs) => {
      const images = normalise(nn, inputs[GRAPH_NAMES.input]!, plan);
      const embeddings = encoderOf(plan).apply(nn, within('encoder', inputs), images, plan.encoder);
      const kernel = inputs['head/kernel'];
      if (!kernel) return { embeddings };
      return { embeddings, logits: nn.dense(embeddings, kernel, inputs['head/bias']) };
    },
  };
}

/**
 * The bytes of the ONNX model.
 * @param metadata what its `metadata_props` hold
 * @throws TacitError weights/mismatch; engine/unsupported for an encoder that does not treat each example by itself
 */
export function exportOnnx(exported: Exported, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const weights = exportedWeights(exported);
  const program = exportProgram(exported, weights);
  const [first, second] = SIZES.map((batch) => ({ batch, graph: portable(traceProgram(withBatch(program, batch))) }));
  const { graph, symbolic } = symbolicBatch(first!, second!);
  const [height, width, channels] = exported.plan.data.shape;
  const description = `Images [batch, ${height}, ${width}, ${channels}] as float32 in [0, 1]; their normalisation is part of the graph.`;
  return writeModel(graph, { symbolic, weights, plainNames: true, metadata, description });
}
