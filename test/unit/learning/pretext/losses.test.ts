import type { Tensor } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import type { Ops } from '../../../../learning/ops/ops.ts';
import { barlowLoss } from '../../../../learning/pretext/barlow-twins.ts';
import { byolLoss } from '../../../../learning/pretext/byol.ts';
import { maeLoss } from '../../../../learning/pretext/mae.ts';
import { mocoLoss } from '../../../../learning/pretext/moco.ts';
import { rotationLoss } from '../../../../learning/pretext/rotation.ts';
import { ntXent } from '../../../../learning/pretext/simclr.ts';
import { simsiamLoss } from '../../../../learning/pretext/simsiam.ts';
import { spectralLoss } from '../../../../learning/pretext/spectral.ts';
import { sinkhornCodes, swavLoss } from '../../../../learning/pretext/swav.ts';
import { vicregLoss } from '../../../../learning/pretext/vicreg.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NDArray } from '../../../../protocol/tensors.ts';
import { dot, randomArray, slope, toMatrix } from '../../../reference/arrays.ts';
import * as naive from '../../../reference/losses.ts';
import type { Matrix } from '../../../reference/network.ts';
import { BACKENDS, differentiate } from '../ops/gradients.ts';

const halves = ({ shape, data }: { shape: readonly number[]; data: ArrayLike<number> }) => {
  const rows = toMatrix({ shape, data });
  return [rows.slice(0, rows.length / 2), rows.slice(rows.length / 2)] as const;
};

type Rows = NDArray | { readonly shape: readonly number[]; readonly data: Float64Array };
interface Entry {
  readonly task: string;
  /** Shown in the test's title. */
  readonly options: number | object;
  ours(nn: Ops, projections: Tensor): Tensor;
  /** `still` are the same rows, through which no gradient flows. */
  reference(first: Matrix, second: Matrix, still: readonly [Matrix, Matrix]): number;
}

/** A prediction that depends on its projection, so that a gradient through the target would show. */
const predicted = (rows: Matrix): Matrix => rows.map((row) => row.map((v, j) => v * (j + 1)));
const predictedBy = ({ tf }: Ops, z: Tensor): Tensor => tf.mul(z, tf.range(1, z.shape[1]! + 1, 1, 'float32'));

/** Seeded rows that are no input of the loss: prototypes, or a queue of unit length. */
const fixed = (rows: number, dim: number): Matrix => toMatrix(randomArray(stream(9, 'fixed', rows, dim), [rows, dim]));
const unit = (rows: Matrix): Matrix => rows.map((row) => row.map((v) => v / Math.hypot(...row)));

const entries: readonly Entry[] = [
  ...[0.5, 4, 100].map((mu) => ({
    task: 'spectral',
    options: mu,
    ours: (nn: Ops, z: Tensor) => spectralLoss(nn, z, mu),
    reference: (a: Matrix, b: Matrix) => naive.spectral(a, b, mu),
  })),
  ...[0.05, 0.2, 0.5, 2].map((temperature) => ({
    task: 'simclr',
    options: temperature,
    ours: (nn: Ops, z: Tensor) => ntXent(nn, z, temperature),
    reference: (a: Matrix, b: Matrix) => naive.ntXent(a, b, temperature),
  })),
  ...[
    { invariance: 25, variance: 25, covariance: 1 },
    { invariance: 0, variance: 1, covariance: 0 },
    { invariance: 0, variance: 0, covariance: 2 },
  ].map((weights) => ({
    task: 'vicreg',
    options: weights,
    ours: (nn: Ops, z: Tensor) => vicregLoss(nn, z, weights),
    reference: (a: Matrix, b: Matrix) => naive.vicreg(a, b, weights),
  })),
  ...[
    { redundancy: 0.005, scale: 0.1 },
    { redundancy: 2, scale: 1 },
  ].map((weights) => ({
    task: 'barlow-twins',
    options: weights,
    ours: (nn: Ops, z: Tensor) => barlowLoss(nn, z, weights),
    reference: (a: Matrix, b: Matrix) => naive.barlow(a, b, weights),
  })),
  {
    task: 'byol',
    options: {},
    ours: (nn, z) => byolLoss(nn, predictedBy(nn, z), z),
    reference: (a, b, still) => 2 - 2 * naive.crossCosine([predicted(a), predicted(b)], still),
  },
  {
    task: 'simsiam',
    options: {},
    ours: (nn, z) => simsiamLoss(nn, predictedBy(nn, z), z),
    reference: (a, b, still) => -naive.crossCosine([predicted(a), predicted(b)], still),
  },
  ...[
    { temperature: 0.07, queue: 1 },
    { temperature: 0.2, queue: 9 },
  ].map(({ temperature, queue }) => ({
    task: 'moco',
    options: { temperature, queue },
    ours: (nn: Ops, z: Tensor) =>
      mocoLoss(nn, z, predictedBy(nn, z), nn.tf.tensor2d(unit(fixed(queue, z.shape[1]!))), temperature),
    reference: (a: Matrix, b: Matrix, [c, d]: readonly [Matrix, Matrix]) =>
      naive.moco([a, b], [predicted(c), predicted(d)], unit(fixed(queue, a[0]!.length)), temperature),
  })),
  ...[
    { temperature: 0.1, epsilon: 0.05, iterations: 3 },
    { temperature: 1, epsilon: 0.5, iterations: 1 },
  ].map((options) => ({
    task: 'swav',
    options,
    ours: (nn: Ops, z: Tensor) => swavLoss(nn, z, nn.tf.tensor2d(fixed(4, z.shape[1]!)), options),
    reference: (a: Matrix, b: Matrix, still: readonly [Matrix, Matrix]) => {
      const prototypes = fixed(4, a[0]!.length);
      return naive.swav([a, b], still, { moving: prototypes, still: prototypes }, options);
    },
  })),
];

const grid = entries.flatMap((entry) =>
  [
    { batch: 2, dim: 3 },
    { batch: 5, dim: 8 },
    { batch: 8, dim: 4 },
  ].flatMap((size) => [0.3, 2].map((scale) => ({ ...entry, scale, ...size }))),
);

describe.each(BACKENDS)('losses on %s', (backend) => {
  it.each(grid)('$task($options), $batch × $dim, scale $scale', async (entry) => {
    const { batch, dim, scale } = entry;
    const rng = stream(3, entry.task, JSON.stringify(entry.options), batch, scale);
    const z = randomArray(rng, [2 * batch, dim], scale);
    const reference = (rows: Rows): number => entry.reference(...halves(rows), halves(z));
    const { value, shape, gradients } = await differentiate(backend, [z], undefined, (nn, [x]) => entry.ours(nn, x!));
    const exact = reference(z);
    expect(shape).toEqual([]);
    expect(Math.abs(value[0]! - exact) / Math.max(1, Math.abs(exact))).toBeLessThan(1e-5);
    const double = Float64Array.from(z.data);
    const length = Math.max(Math.hypot(...gradients[0]!), 0.01); // at two images some losses are all but flat
    for (let trial = 0; trial < 3; trial++) {
      const along = randomArray(rng, z.shape).data;
      const expected = slope((data) => reference({ shape: z.shape, data }), double, along, 1e-5);
      expect(Math.abs(dot(gradients[0]!, along) - expected) / length).toBeLessThan(1e-3);
    }
  });
});

describe.each(BACKENDS)('losses of tasks without a second view, on %s', (backend) => {
  const expectGradient = async (
    inputs: readonly NDArray[],
    ours: (nn: Ops, tensors: Tensor[]) => Tensor,
    reference: (first: Float64Array) => number,
  ): Promise<void> => {
    const { value, gradients } = await differentiate(backend, inputs, undefined, ours);
    const [at] = [Float64Array.from(inputs[0]!.data)];
    expect(value[0]).toBeCloseTo(reference(at), 4);
    const along = randomArray(stream(8, 'along', at.length), [at.length]).data;
    expect(dot(gradients[0]!, along)).toBeCloseTo(slope(reference, at, along, 1e-5), 3);
  };

  it.each([1, 2, 5])('rotation, %i images at four angles', async (batch) => {
    const scores = randomArray(stream(4, 'scores', batch), [4 * batch, 4], 2);
    const reference = (data: Float64Array): number => naive.rotation(toMatrix({ shape: scores.shape, data }));
    await expectGradient([scores], (nn, [x]) => rotationLoss(nn, x!), reference);
  });

  it.each([
    [1, 4, 3],
    [3, 2, 4],
    [2, 9, 1],
  ])('mae, %i images of %i patches of %i pixels', async (batch, patches, pixels) => {
    const rng = stream(5, 'mae', batch, patches, pixels);
    const shape = [batch, patches, pixels];
    const [made, images] = [randomArray(rng, shape), randomArray(rng, shape)];
    const hidden = Array.from({ length: batch }, () =>
      Array.from({ length: patches }, (_, p) => (p % 2 === 0 ? 1 : 0)),
    );
    const nested = (data: ArrayLike<number>): Matrix[] =>
      Array.from({ length: batch }, (_, b) =>
        toMatrix({ shape: [patches, pixels], data: Array.from(data).slice(b * patches * pixels) }),
      );
    const reference = (data: Float64Array): number => naive.mae(nested(images.data), nested(data), hidden);
    const ours = (nn: Ops, [x]: Tensor[]): Tensor => {
      const mask = nn.tf.reshape(nn.tf.tensor2d(hidden), [batch, patches, 1]);
      return maeLoss(nn, nn.tf.tensor(images.data, shape), x!, mask);
    };
    await expectGradient([made], ours, reference);
  });
});

describe('codes of swav', () => {
  it('share the batch out equally, however one-sided the cosines, and follow them', async () => {
    const cosines = Array.from({ length: 12 }, (_, i) => [0.9, 0.5 + 0.03 * i, 0.1 * Math.sin(i)]);
    const { value } = await differentiate(
      'cpu',
      [float32([12, 3], Float32Array.from(cosines.flat()))],
      undefined,
      (nn, [x]) => sinkhornCodes(nn, x!, { epsilon: 0.05, iterations: 20 }),
    );
    const codes = toMatrix({ shape: [12, 3], data: value });
    for (const row of codes) expect(row[0]! + row[1]! + row[2]!).toBeCloseTo(1, 5);
    for (let k = 0; k < 3; k++) expect(codes.reduce((sum, row) => sum + row[k]!, 0)).toBeCloseTo(4, 1);
    expect(codes[11]![1]).toBeGreaterThan(codes[0]![1]!);
  });
});

const lossOf = async (ours: typeof ntXent, rows: readonly (readonly number[])[], parameter: number) => {
  const z = float32([rows.length, rows[0]!.length], Float32Array.from(rows.flat()));
  return (await differentiate('cpu', [z], undefined, (nn, [x]) => ours(nn, x!, parameter))).value[0]!;
};

describe('spectral, cases with a closed form', () => {
  it('one direction, both views equal: −2 + 1 for unit length', async () => {
    expect(
      await lossOf(
        spectralLoss,
        [
          [1, 0],
          [1, 0],
          [1, 0],
          [1, 0],
        ],
        4,
      ),
    ).toBeCloseTo(-1, 6);
  });

  it('two orthogonal examples: −2·l² + l⁴/2 for length l', async () => {
    const l2 = 3;
    const l = Math.sqrt(l2);
    expect(
      await lossOf(
        spectralLoss,
        [
          [l, 0],
          [0, l],
          [l, 0],
          [0, l],
        ],
        4,
      ),
    ).toBeCloseTo(-2 * l2 + l2 ** 2 / 2, 5);
  });

  it('is clipped at √μ: longer rows give what rows of length √μ give', async () => {
    const far = await lossOf(
      spectralLoss,
      [
        [70, 0],
        [0, 90],
        [50, 0],
        [0, 80],
      ],
      4,
    );
    expect(far).toBeCloseTo(-2 * 4 + 16 / 2, 5);
  });

  it('all zeros: 0, with a finite gradient', async () => {
    const zeros = float32([4, 3]);
    const { value, gradients } = await differentiate('cpu', [zeros], undefined, (nn, [x]) => spectralLoss(nn, x!, 4));
    expect(value[0]).toBe(0);
    expect(gradients[0]!.every((g) => g === 0)).toBe(true);
  });
});

describe('NT-Xent, cases with a closed form', () => {
  it('all views equal: log(2B − 1)', async () => {
    expect(
      await lossOf(
        ntXent,
        [
          [1, 0],
          [2, 0],
          [3, 0],
          [4, 0],
          [5, 0],
          [6, 0],
        ],
        0.5,
      ),
    ).toBeCloseTo(Math.log(5), 5);
  });

  it('two orthogonal examples: log(1 + 2·e^(−1/τ))', async () => {
    const loss = await lossOf(
      ntXent,
      [
        [1, 0],
        [0, 1],
        [1, 0],
        [0, 1],
      ],
      0.5,
    );
    expect(loss).toBeCloseTo(Math.log(1 + 2 * Math.exp(-2)), 5);
  });

  it('does not depend on the lengths of the rows', async () => {
    const rows = [
      [1, 2],
      [3, -1],
      [0.5, 1.5],
      [2, -2],
    ];
    const scaled = rows.map((row, i) => row.map((v) => v * (i + 1) * 10));
    expect(await lossOf(ntXent, rows, 0.2)).toBeCloseTo(await lossOf(ntXent, scaled, 0.2), 5);
  });
});

describe('VICReg, cases with a closed form', () => {
  const weights = { invariance: 25, variance: 25, covariance: 1 };
  const vicreg = (rows: readonly (readonly number[])[]) => lossOf((nn, z) => vicregLoss(nn, z, weights), rows, 0);

  it('all projections equal: the hinge of a deviation of √10⁻⁴ in each view', async () => {
    expect(await vicreg([1, 1, 1, 1].map(() => [3, -2]))).toBeCloseTo(25 * 2 * 0.99, 4);
  });

  it('equal views, deviation ≥ 1, two coordinates that are one: only their covariance is left', async () => {
    const view = [
      [2, 2],
      [-2, -2],
    ];
    // variance 8 in each, covariance 8 in both places, over D = 2, in both views
    expect(await vicreg([...view, ...view])).toBeCloseTo((2 * 8 ** 2 * 2) / 2, 3);
  });
});
