/** The frozen encoder over every example of a source, in bounded pieces. */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { DataSource } from '../data/source.ts';
import type { Executable } from '../engine/engine.ts';
import { modelOf } from '../model.ts';
import { under } from '../names.ts';
import { encodeProgram } from '../train-step.ts';
import { pick } from './arrays.ts';
import type { JobContext } from './job.ts';

export interface FeatureTable {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly data: Float32Array;
}

/** Examples that are decoded and encoded at once. */
const PIECE = 256;

/** Runs of at most `PIECE` indices that cover 0 … length−1. */
function* pieces(length: number): Generator<Int32Array> {
  for (let from = 0; from < length; from += PIECE) {
    yield Int32Array.from({ length: Math.min(PIECE, length - from) }, (_, i) => from + i);
  }
}

/** Collects one flat row per example. */
async function collect(
  source: DataSource,
  rowsOf: (indices: Int32Array) => Promise<Float32Array>,
  onRows: (done: number) => void,
): Promise<FeatureTable> {
  let data = new Float32Array(0);
  let columns = 0;
  for (const indices of pieces(source.length)) {
    const rows = await rowsOf(indices);
    if (indices[0] === 0) {
      columns = rows.length / indices.length;
      data = new Float32Array(columns * source.length);
    }
    data.set(rows, indices[0]! * columns);
    onRows(indices[0]! + indices.length);
  }
  return { rows: source.length, columns, data };
}

/** The encoder of `plan` with these weights (`encoder/…`; others are ignored). @throws TacitError weights/mismatch */
export async function loadEncoder(plan: Plan, model: NamedArrays, context: JobContext): Promise<Executable> {
  const executable = await context.load(encodeProgram(plan));
  await executable.set(under('params', pick(model, modelOf(plan).encoderSpecs, 'the encoder')));
  return executable;
}

/** Embeddings of every example: [length, dim]. */
export const encodeAll = (
  encoder: Executable,
  source: DataSource,
  onRows: (done: number) => void = () => {},
): Promise<FeatureTable> =>
  collect(
    source,
    async (indices) => {
      const { image } = await source.read(indices);
      return (await encoder.run({ images: image })).embeddings!.data as Float32Array;
    },
    onRows,
  );

/** The pixels themselves: [length, h·w·c]. */
export const pixelsOf = (source: DataSource, onRows: (done: number) => void = () => {}): Promise<FeatureTable> =>
  collect(source, async (indices) => (await source.read(indices)).image.data as Float32Array, onRows);

/** The group of every example, if the source has groups. */
export function groupsOf(source: DataSource): Int32Array | undefined {
  const { group } = source;
  return group && Int32Array.from({ length: source.length }, (_, i) => group.call(source, i));
}
