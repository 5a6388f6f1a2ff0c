/**
 * Two-dimensional convolution, NHWC, whose gradient is made of forward convolutions, since tfjs-wasm has no kernel for the
 * filter's gradient and a slow one for the input's (measured: 4–20 times slower than these).
 *
 * Filter: dK[u, v, c, f] = Σ x[b, i·s+u, j·s+v, c] · dy[b, i, j, f] is a convolution over positions, dilated by the stride, in
 * which channels of x are the examples, and examples are the channels.
 * Input: position q·s + r of the padded input sees the taps r + t·s, so each of the s² remainders r is a convolution of dy
 * with its own small kernel. One convolution gives all of them as channels; interleaving those gives dx.
 */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { Convolution, TensorFlow } from './ops.ts';

/** One axis of a convolution. Padding may be negative: then the last positions of the input are never seen. */
interface Axis {
  readonly input: number;
  readonly kernel: number;
  readonly stride: number;
  readonly output: number;
  readonly before: number;
  readonly after: number;
}

/** @throws Error if a kernel without padding is larger than the input */
export function axisOf(input: number, kernel: number, { stride, padding }: Convolution): Axis {
  const output = padding === 'same' ? Math.ceil(input / stride) : Math.floor((input - kernel) / stride) + 1;
  if (output < 1) throw new Error(`a kernel of ${kernel} does not fit into ${input}`);
  const total = (output - 1) * stride + kernel - input;
  const before = padding === 'same' && total > 0 ? Math.floor(total / 2) : 0;
  return { input, kernel, stride, output, before, after: total - before };
}

/** x: [b, h, w, c] padded with zeros, or cropped where padding is negative. */
function pad(tf: TensorFlow, x: Tensor4D, rows: Axis, columns: Axis): Tensor4D {
  const [y, z] = [rows, columns].map((axis): [number, number] => [axis.before, Math.max(axis.after, 0)]);
  const padded = tf.pad(x, [[0, 0], y!, z!, [0, 0]]);
  if (rows.after >= 0 && columns.after >= 0) return padded;
  const [height, width] = [rows, columns].map((axis) => (axis.output - 1) * axis.stride + axis.kernel);
  return tf.slice(padded, [0, 0, 0, 0], [-1, height!, width!, -1]);
}

/** x: [b, h, w, c], dy: [b, h′, w′, f] → [kh, kw, c, f] */
function kernelGradient(tf: TensorFlow, x: Tensor4D, dy: Tensor4D, rows: Axis, columns: Axis): Tensor4D {
  const channelsFirst = tf.transpose(pad(tf, x, rows, columns), [3, 1, 2, 0]); // [c, H, W, b]
  const asKernel = tf.transpose(dy, [1, 2, 0, 3]); // [h′, w′, b, f]
  const product = tf.conv2d(channelsFirst, asKernel, 1, 'valid', 'NHWC', [rows.stride, columns.stride]); // [c, kh, kw, f]
  return tf.transpose(product, [1, 2, 0, 3]);
}

/** Taps of a kernel that one remainder modulo the stride sees. */
const tapsOf = (axis: Axis): number => Math.ceil(axis.kernel / axis.stride);

/** Row (t, t′, r, r′) of the selection picks the kernel's tap for the (reversed) steps t, t′ and the remainders r, r′. */
function selection(tf: TensorFlow, rows: Axis, columns: Axis): Tensor {
  const [my, mx] = [tapsOf(rows), tapsOf(columns)];
  const taps = rows.kernel * columns.kernel;
  const chosen = new Float32Array(my * mx * rows.stride * columns.stride * taps);
  let row = 0;
  for (let t = my - 1; t >= 0; t--)
    for (let u = mx - 1; u >= 0; u--)
      for (let r = 0; r < rows.stride; r++)
        for (let q = 0; q < columns.stride; q++, row++) {
          const [y, x] = [r + t * rows.stride, q + u * columns.stride];
          if (y < rows.kernel && x < columns.kernel) chosen[row * taps + y * columns.kernel + x] = 1;
        }
  return tf.tensor(chosen, [row, taps]);
}

/** kernel: [kh, kw, c, f], dy: [b, h′, w′, f] → [b, h, w, c] */
function inputGradient(tf: TensorFlow, kernel: Tensor4D, dy: Tensor4D, rows: Axis, columns: Axis): Tensor4D {
  const [c, f] = [kernel.shape[2], kernel.shape[3]];
  const [my, mx] = [tapsOf(rows), tapsOf(columns)];
  const remainders = rows.stride * columns.stride;
  const taps = tf.reshape(kernel, [rows.kernel * columns.kernel, c * f]);
  const chosen = tf.reshape(tf.matMul<Tensor>(selection(tf, rows, columns), taps), [my * mx, remainders * c, f]);
  const small = tf.reshape(tf.transpose(chosen, [0, 2, 1]), [my, mx, f, remainders * c]) as Tensor4D;

  const coarse = (axis: Axis): number => Math.ceil((axis.before + axis.input) / axis.stride);
  const [height, width] = [coarse(rows), coarse(columns)];
  const border = (taps: number, size: number, axis: Axis): [number, number] => [
    taps - 1,
    Math.max(size - axis.output, 0),
  ];
  const padded = tf.pad(dy, [[0, 0], border(my, height, rows), border(mx, width, columns), [0, 0]]);
  const parts = tf.conv2d(padded, small, 1, 'valid'); // [b, ≥height, ≥width, s·s·c]
  const fine = interleave(tf, parts, rows.stride, columns.stride, c);
  return tf.slice(fine, [0, rows.before, columns.before, 0], [-1, rows.input, columns.input, -1]);
}

/** [b, h, w, (r, q, c)] → [b, h·s, w·s, c], in one transposition of four axes. */
function interleave(tf: TensorFlow, parts: Tensor4D, sy: number, sx: number, c: number): Tensor4D {
  if (sy === 1 && sx === 1) return parts;
  const [height, width] = [parts.shape[1], parts.shape[2]];
  const split = tf.reshape(parts, [-1, width, sy, sx * c]);
  return tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [-1, height * sy, width * sx, c]);
}

/** x: [b, h, w, c], kernel: [kh, kw, c, f] → [b, h′, w′, f] */
export function conv2d(tf: TensorFlow, x: Tensor, kernel: Tensor, options: Convolution): Tensor {
  const rows = axisOf(x.shape[1]!, kernel.shape[0]!, options);
  const columns = axisOf(x.shape[2]!, kernel.shape[1]!, options);
  return withGradient(tf, {
    inputs: { x, kernel },
    forward: (save) => {
      save([x, kernel]);
      return tf.conv2d(x as Tensor4D, kernel as Tensor4D, options.stride, options.padding);
    },
    gradient: (dy, [image, filter]) => ({
      x: () => inputGradient(tf, filter as Tensor4D, dy as Tensor4D, rows, columns),
      kernel: () => kernelGradient(tf, image as Tensor4D, dy as Tensor4D, rows, columns),
    }),
  });
}
