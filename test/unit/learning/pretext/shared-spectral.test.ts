/** The spectral loss from shared statistics: what the participants' shares add up to, and which gradient each has. */
import { describe, expect, it } from 'vitest';
import {
  sharedSpectralLoss,
  spectral,
  spectralLoss,
  weightedSpectralLoss,
} from '../../../../learning/pretext/spectral.ts';
import { packedLength, packSymmetric, unpackSymmetric } from '../../../../learning/pretext/symmetric.ts';
import { stream } from '../../../../protocol/random.ts';
import type { NDArray } from '../../../../protocol/tensors.ts';
import { deviation, dot, randomArray, slope, toMatrix } from '../../../reference/arrays.ts';
import { attraction, correlation, spectral as naiveSpectral } from '../../../reference/losses.ts';
import type { Matrix } from '../../../reference/network.ts';
import { BACKENDS, differentiate } from '../ops/gradients.ts';

const [BATCH, DIM, MU] = [4, 5, 2];
const SHARES = [0.5, 0.3, 0.2];

const halves = (data: ArrayLike<number>): readonly [Matrix, Matrix] => {
  const rows = toMatrix({ shape: [2 * BATCH, DIM], data });
  return [rows.slice(0, BATCH), rows.slice(BATCH)];
};
const flat = (matrix: Matrix): Float32Array => Float32Array.from(matrix.flat());
const frobenius = (a: ArrayLike<number>): number => Math.sqrt(dot(a, a));
const weighted = (matrices: readonly ArrayLike<number>[]): Float64Array =>
  Float64Array.from({ length: DIM * DIM }, (_, i) => matrices.reduce((sum, m, k) => sum + SHARES[k]! * m[i]!, 0));

/** The loss on all data, Σ pₖ·attractionₖ + ‖Σ pₖRₖ‖², from everybody's projections one after another. */
function globalLoss(all: Float64Array): number {
  const size = 2 * BATCH * DIM;
  const views = SHARES.map((_, k) => halves(all.subarray(k * size, (k + 1) * size)));
  const attracted = views.reduce((sum, [a, b], k) => sum + SHARES[k]! * attraction(a, b, MU), 0);
  const mean = weighted(views.map(([a, b]) => correlation(a, b, MU).flat()));
  return attracted + dot(mean, mean);
}

const shares = async (backend: (typeof BACKENDS)[number], z: readonly NDArray[], follow: number) => {
  const own = z.map(({ data }) => flat(correlation(...halves(data), MU)));
  const everybody = Float32Array.from(weighted(own));
  return Promise.all(
    z.map((projections, k) =>
      differentiate(backend, [projections], undefined, (nn, [x]) => {
        const square = (data: Float32Array) => nn.tf.tensor(data, [DIM, DIM]);
        const shared = { everybody: square(everybody), own: square(own[k]!), share: nn.tf.scalar(follow * SHARES[k]!) };
        return sharedSpectralLoss(nn, x!, MU, shared);
      }),
    ),
  );
};

describe.each(BACKENDS)('sharedSpectralLoss on %s', (backend) => {
  const rng = stream(5, 'shared');
  const z = SHARES.map((_, k) => randomArray(rng, [2 * BATCH, DIM], 0.4 + 0.5 * k));
  const all = Float64Array.from(z.flatMap(({ data }) => [...data]));

  it.each([0, 1])('the shares of all participants add up to the loss on all data (share %d)', async (follow) => {
    const parts = await shares(backend, z, follow);
    const sum = parts.reduce((total, { value }, k) => total + SHARES[k]! * value[0]!, 0);
    expect(Math.abs(sum - globalLoss(all))).toBeLessThan(1e-5);
    expect(parts[0]!.shape).toEqual([]);
  });

  it.each([0, 1])('and so do their gradients (share %d)', async (follow) => {
    const parts = await shares(backend, z, follow);
    const gradient = Float64Array.from(
      parts.flatMap(({ gradients }, k) => [...gradients[0]!].map((g) => SHARES[k]! * g)),
    );
    for (let trial = 0; trial < 4; trial++) {
      const along = randomArray(rng, [all.length]).data;
      const expected = slope(globalLoss, all, along, 1e-5);
      expect(Math.abs(dot(gradient, along) - expected) / frobenius(gradient)).toBeLessThan(1e-4);
    }
  });

  it('is the plain loss for one participant', async () => {
    const [first] = z as [NDArray];
    const own = flat(correlation(...halves(first.data), MU));
    const plain = await differentiate(backend, [first], undefined, (nn, [x]) => spectralLoss(nn, x!, MU));
    for (const share of [0, 1]) {
      const { value, gradients } = await differentiate(backend, [first], undefined, (nn, [x]) => {
        const square = nn.tf.tensor(own, [DIM, DIM]);
        return sharedSpectralLoss(nn, x!, MU, { everybody: square, own: square, share: nn.tf.scalar(share) });
      });
      expect(value[0]).toBeCloseTo(naiveSpectral(...halves(first.data), MU), 5);
      expect(deviation(gradients[0]!, plain.gradients[0]!)).toBeLessThan(1e-5);
    }
  });

  it('away from the start, the mean follows the participant by its share', async () => {
    const [start, now] = [randomArray(rng, [2 * BATCH, DIM]), randomArray(rng, [2 * BATCH, DIM])];
    const everybody = flat(correlation(...halves(randomArray(rng, [2 * BATCH, DIM]).data), MU));
    const own = flat(correlation(...halves(start.data), MU));
    const at = flat(correlation(...halves(now.data), MU));
    const share = 0.3;
    const held = everybody.map((r, i) => r + share * (at[i]! - own[i]!));
    const expected = (data: Float64Array): number =>
      attraction(...halves(data), MU) + 2 * dot(held, correlation(...halves(data), MU).flat());
    const { gradients } = await differentiate(backend, [now], undefined, (nn, [x]) => {
      const square = (data: Float32Array) => nn.tf.tensor(data, [DIM, DIM]);
      return sharedSpectralLoss(nn, x!, MU, {
        everybody: square(everybody),
        own: square(own),
        share: nn.tf.scalar(share),
      });
    });
    for (let trial = 0; trial < 4; trial++) {
      const along = randomArray(rng, [2 * BATCH * DIM]).data;
      const wanted = slope(expected, Float64Array.from(now.data), along, 1e-5);
      expect(Math.abs(dot(gradients[0]!, along) - wanted) / frobenius(gradients[0]!)).toBeLessThan(1e-4);
    }
  });
});

describe.each(BACKENDS)('weightedSpectralLoss on %s', (backend) => {
  const rng = stream(7, 'weighted');
  const z = SHARES.map((_, k) => randomArray(rng, [2 * BATCH, DIM], 0.4 + 0.5 * k));
  /** All first views of everybody, then all second ones: [2 · everybody's images, dim]. */
  const together = (parts: readonly ArrayLike<number>[]): Float32Array => {
    const half = BATCH * DIM;
    const view = (at: number) => parts.flatMap((part) => Array.from(part).slice(at, at + half));
    return Float32Array.from([...view(0), ...view(half)]);
  };
  const all = Float64Array.from(z.flatMap(({ data }) => [...data]));
  const shape = [2 * BATCH * SHARES.length, DIM];
  const lossOf = (weights: readonly number[], data: Float32Array, rows: readonly number[]) =>
    differentiate(backend, [{ dtype: 'float32', shape: rows, data }], undefined, (nn, [x]) =>
      weightedSpectralLoss(nn, x!, MU, nn.tf.tensor1d([...weights])),
    );
  const spread = (shares: readonly number[]): number[] =>
    shares.flatMap((share) => Array.from({ length: BATCH }, () => share / BATCH));

  it('is the loss on all data, with its gradient', async () => {
    const { value, shape: scalar, gradients } = await lossOf(spread(SHARES), together(z.map((x) => x.data)), shape);
    expect(Math.abs(value[0]! - globalLoss(all))).toBeLessThan(1e-5);
    expect(scalar).toEqual([]);
    for (let trial = 0; trial < 4; trial++) {
      const along = randomArray(rng, [all.length]).data;
      const parts = SHARES.map((_, k) => along.subarray((k * all.length) / 3, ((k + 1) * all.length) / 3));
      const expected = slope(globalLoss, all, along, 1e-5);
      const got = dot(gradients[0]!, together(parts));
      expect(Math.abs(got - expected) / frobenius(gradients[0]!)).toBeLessThan(1e-4);
    }
  });

  it('tells weights apart, and is the plain loss where they are equal', async () => {
    const data = together(z.map((x) => x.data));
    const even = (await lossOf(spread([1 / 3, 1 / 3, 1 / 3]), data, shape)).value[0]!;
    const rows = toMatrix({ shape, data });
    const half = rows.length / 2;
    expect(even).toBeCloseTo(naiveSpectral(rows.slice(0, half), rows.slice(half), MU), 5);
    expect(Math.abs(even - globalLoss(all))).toBeGreaterThan(0.01);
  });

  it('an image of weight 0 does not count', async () => {
    const [first] = z as [NDArray];
    const alone = (await lossOf(spread([1]), Float32Array.from(first.data), [2 * BATCH, DIM])).value[0]!;
    const data = together(z.map((x) => x.data));
    expect((await lossOf(spread([1, 0, 0]), data, shape)).value[0]!).toBeCloseTo(alone, 5);
  });
});

describe('what is shared', () => {
  const rng = stream(6, 'correlation');
  const matrices = SHARES.map(() => flat(correlation(...halves(randomArray(rng, [2 * BATCH, DIM], 3).data), MU)));

  it('‖Σ pₖRₖ‖² = Σₖ Σⱼ pₖpⱼ·tr(RₖRⱼ), also when it is packed', () => {
    const mean = weighted(matrices);
    let double = 0;
    for (const [k, a] of matrices.entries())
      for (const [j, b] of matrices.entries()) double += SHARES[k]! * SHARES[j]! * dot(a, b);
    expect(dot(mean, mean)).toBeCloseTo(double, 5);
    const packed = matrices.map((matrix) => packSymmetric(matrix, DIM));
    const packedMean = packed[0]!.map((_, i) => packed.reduce((sum, p, k) => sum + SHARES[k]! * p[i]!, 0));
    expect(dot(packedMean, packedMean)).toBeCloseTo(double, 5);
  });

  it('is its upper triangle, keeps the Frobenius norm, and comes back', () => {
    for (const matrix of matrices) {
      const packed = packSymmetric(matrix, DIM);
      expect(packed).toHaveLength(packedLength(DIM));
      expect(frobenius(packed)).toBeCloseTo(frobenius(matrix), 5);
      expect(deviation(unpackSymmetric(packed, DIM), matrix)).toBeLessThan(1e-6);
    }
    expect(packedLength(128)).toBe(8256);
  });

  it('is never longer than μ, however large the projections are', () => {
    for (const matrix of matrices) expect(frobenius(matrix)).toBeLessThanOrEqual(MU * (1 + 1e-6));
    const same = Array.from({ length: BATCH }, () => [100, 0, 0, 0, 0]);
    expect(frobenius(correlation(same, same, MU).flat())).toBeCloseTo(MU, 6);
    const context = { spec: { name: 'spectral', mu: MU, projector: { hidden: [], dim: DIM, normalisation: 'none' } } };
    expect(spectral.statistics!.report(context as never)).toEqual({ length: 15, bound: MU });
  });
});
