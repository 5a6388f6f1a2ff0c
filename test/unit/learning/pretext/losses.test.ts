import type { Tensor } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import type { Ops } from '../../../../learning/ops/ops.ts';
import { ntXent } from '../../../../learning/pretext/simclr.ts';
import { spectralLoss } from '../../../../learning/pretext/spectral.ts';
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
  reference(first: Matrix, second: Matrix): number;
}

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
    const reference = (rows: Rows): number => entry.reference(...halves(rows));
    const { value, shape, gradients } = await differentiate(backend, [z], undefined, (nn, [x]) => entry.ours(nn, x!));
    const exact = reference(z);
    expect(shape).toEqual([]);
    expect(Math.abs(value[0]! - exact) / Math.max(1, Math.abs(exact))).toBeLessThan(1e-5);
    const double = Float64Array.from(z.data);
    for (let trial = 0; trial < 3; trial++) {
      const along = randomArray(rng, z.shape).data;
      const expected = slope((data) => reference({ shape: z.shape, data }), double, along, 1e-5);
      expect(Math.abs(dot(gradients[0]!, along) - expected) / (Math.hypot(...gradients[0]!) || 1)).toBeLessThan(1e-3);
    }
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
