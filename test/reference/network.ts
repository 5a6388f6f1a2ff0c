/** Encoders and heads as naive loops over nested arrays, in double precision: what the engines are checked against. */

export type Matrix = number[][]; // [row][column]
export type Image = number[][][]; // [y][x][channel]

/** Parameters as nested arrays or flat vectors by name. */
export interface Weights {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}
export type NamedWeights = Readonly<Record<string, Weights>>;

export function dense(x: Matrix, kernel: Weights, bias?: Weights): Matrix {
  const [inputs, outputs] = kernel.shape as [number, number];
  return x.map((row) =>
    Array.from({ length: outputs }, (_, j) => {
      let sum = bias ? bias.data[j]! : 0;
      for (let i = 0; i < inputs; i++) sum += row[i]! * kernel.data[i * outputs + j]!;
      return sum;
    }),
  );
}

export const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** (value − mean) / √(variance + ε) over the given values. */
export function standardise(values: readonly number[], epsilon = 1e-5): number[] {
  const centre = mean(values);
  const variance = mean(values.map((v) => (v - centre) ** 2));
  return values.map((v) => (v - centre) / Math.sqrt(variance + epsilon));
}

export const layerNorm = (x: Matrix, scale: Weights, offset: Weights): Matrix =>
  x.map((row) => standardise(row).map((v, i) => v * scale.data[i]! + offset.data[i]!));

export const relu = (x: Matrix): Matrix => x.map((row) => row.map((v) => Math.max(v, 0)));

/** As TensorFlow pads `same`: the odd row of zeros at the end. */
export function conv2d(image: Image, kernel: Weights, stride: number, padding: 'same' | 'valid'): Image {
  const [kh, kw, channels, filters] = kernel.shape as [number, number, number, number];
  const [height, width] = [image.length, image[0]!.length];
  const out = (size: number, k: number): number =>
    padding === 'same' ? Math.ceil(size / stride) : Math.floor((size - k) / stride) + 1;
  const before = (size: number, k: number): number =>
    padding === 'same' ? Math.floor(Math.max(0, (out(size, k) - 1) * stride + k - size) / 2) : 0;
  const pixel = (y: number, x: number, c: number): number => image[y]?.[x]?.[c] ?? 0;
  return Array.from({ length: out(height, kh) }, (_, i) =>
    Array.from({ length: out(width, kw) }, (_, j) =>
      Array.from({ length: filters }, (_, f) => {
        let sum = 0;
        for (let u = 0; u < kh; u++)
          for (let v = 0; v < kw; v++)
            for (let c = 0; c < channels; c++)
              sum +=
                pixel(i * stride + u - before(height, kh), j * stride + v - before(width, kw), c) *
                kernel.data[((u * kw + v) * channels + c) * filters + f]!;
        return sum;
      }),
    ),
  );
}

export function groupNorm(image: Image, scale: Weights, offset: Weights, groups: number): Image {
  const channels = image[0]![0]!.length;
  const size = channels / groups;
  const result = image.map((row) => row.map((pixel) => [...pixel]));
  for (let g = 0; g < groups; g++) {
    const members = Array.from({ length: size }, (_, i) => g * size + i);
    const values = image.flatMap((row) => row.flatMap((pixel) => members.map((c) => pixel[c]!)));
    const normalised = standardise(values);
    let next = 0;
    for (const row of result)
      for (const pixel of row)
        for (const c of members) pixel[c] = normalised[next++]! * scale.data[c]! + offset.data[c]!;
  }
  return result;
}

export const globalAveragePool = (image: Image): number[] =>
  image[0]![0]!.map((_, c) => mean(image.flatMap((row) => row.map((pixel) => pixel[c]!))));

/** Each column by its own moments over the rows. */
export function batchNorm(x: Matrix, scale: Weights, offset: Weights): Matrix {
  const columns = x[0]!.map((_, j) => standardise(x.map((row) => row[j]!)));
  return x.map((row, i) => row.map((_, j) => columns[j]![i]! * scale.data[j]! + offset.data[j]!));
}

/** Hidden layers with a normalisation and relu, the last one linear. */
export function denseStack(x: Matrix, weights: NamedWeights, normalise: typeof layerNorm = layerNorm): Matrix {
  const last = Object.keys(weights).filter((name) => name.endsWith('/kernel')).length - 1;
  let hidden = x;
  for (let i = 0; i < last; i++) {
    hidden = dense(hidden, weights[`dense${i}/kernel`]!, weights[`dense${i}/bias`]);
    const scale = weights[`norm${i}/scale`];
    if (scale) hidden = normalise(hidden, scale, weights[`norm${i}/offset`]!);
    hidden = relu(hidden);
  }
  return dense(hidden, weights[`dense${last}/kernel`]!, weights[`dense${last}/bias`]);
}

export const mlp = (images: readonly Image[], weights: NamedWeights): Matrix =>
  denseStack(
    images.map((image) => image.flat(2)),
    weights,
  );

export const conv = (
  images: readonly Image[],
  weights: NamedWeights,
  { strides, groups }: { readonly strides: readonly number[]; readonly groups: number },
): Matrix =>
  images.map((image) => {
    let hidden = image;
    for (const [i, stride] of strides.entries()) {
      hidden = conv2d(hidden, weights[`conv${i}/kernel`]!, stride, 'same');
      hidden = groupNorm(hidden, weights[`norm${i}/scale`]!, weights[`norm${i}/offset`]!, groups);
      hidden = hidden.map((row) => relu(row));
    }
    return globalAveragePool(hidden);
  });

export const within = (prefix: string, weights: NamedWeights): NamedWeights =>
  Object.fromEntries(
    Object.entries(weights).flatMap(([name, w]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), w]] : [])),
  );

const add = (a: Image, b: Image): Image =>
  a.map((row, y) => row.map((pixel, x) => pixel.map((v, c) => v + b[y]![x]![c]!)));

/** Blocks relu(shortcut + residual) after a stem; a block has a shortcut of its own where the shape changes. */
export const resnet = (
  images: readonly Image[],
  weights: NamedWeights,
  { groups, depth }: { readonly groups: number; readonly depth: 8 | 18 },
): Matrix =>
  images.map((image) => {
    const layer = (own: NamedWeights, at: string | number, x: Image, stride: number): Image =>
      groupNorm(
        conv2d(x, own[`conv${at}/kernel`]!, stride, 'same'),
        own[`norm${at}/scale`]!,
        own[`norm${at}/offset`]!,
        groups,
      );
    let hidden = layer(within('stem/', weights), 0, image, 1).map((row) => relu(row));
    const [stages, blocks] = depth === 8 ? [3, 1] : [4, 2];
    for (let stage = 0; stage < stages; stage++)
      for (let block = 0; block < blocks; block++) {
        const own = within(`stage${stage}/block${block}/`, weights);
        const stride = stage > 0 && block === 0 ? 2 : 1;
        const inner = layer(own, 0, hidden, stride).map((row) => relu(row));
        const shortcut = own['convShortcut/kernel'] ? layer(own, 'Shortcut', hidden, stride) : hidden;
        hidden = add(shortcut, layer(own, 1, inner, 1)).map((row) => relu(row));
      }
    return globalAveragePool(hidden);
  });
