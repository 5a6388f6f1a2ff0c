/**
 * One small gradient, to find out whether a browser's runtime computes what it should: both gradients
 * of a convolution with its activation, on numbers that are the same everywhere.
 */
import { float32, type NamedArrays, sizeOf } from '../../protocol/tensors.ts';
import type { Engine, Program } from './engine.ts';

const IMAGES = [2, 6, 5, 3] as const;
const KERNEL = [3, 3, 3, 4] as const;

const program: Program = {
  name: 'probe',
  inputs: {
    images: { shape: IMAGES, dtype: 'float32' },
    kernel: { shape: KERNEL, dtype: 'float32' },
  },
  run: (nn, { images, kernel }) => {
    const { tf } = nn;
    const loss = () => tf.sum(tf.square(tf.relu(nn.conv2d(images!, kernel!, { stride: 2, padding: 'same' }))));
    const { value, grads } = tf.engine().gradients(loss as never, [images!, kernel!], undefined, true);
    return { loss: value, 'grad/images': grads[0]!, 'grad/kernel': grads[1]! };
  },
};

/** Numbers in (−1, 1) without a pattern that a wrong layout would leave as it is. */
const numbers = (shape: readonly number[]) =>
  float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 12.9898 + shape.length)),
  );

/** What an engine makes of it. */
export async function probe(engine: Engine): Promise<NamedArrays> {
  const executable = await engine.load(program);
  try {
    return await executable.run({ images: numbers(IMAGES), kernel: numbers(KERNEL) });
  } finally {
    executable.dispose();
  }
}

const finite = (array: NamedArrays[string]): boolean => array.data.every((x: number) => Number.isFinite(x));

/** What is wrong with these results; nothing if they are those of `reference`, or finite where there is none. */
export function faultIn(results: NamedArrays, reference?: NamedArrays): string | undefined {
  for (const [name, array] of Object.entries(results)) {
    if (!finite(array)) return `${name} is not finite`;
    const expected = reference?.[name]?.data;
    if (!expected) continue;
    const scale = Math.max(...Array.from(expected, Math.abs));
    const worst = Math.max(...Array.from(array.data, (x: number, i: number) => Math.abs(x - expected[i]!)));
    if (worst > 1e-3 * scale) return `${name} is off by ${(worst / scale).toPrecision(2)} of its largest element`;
  }
  return undefined;
}
