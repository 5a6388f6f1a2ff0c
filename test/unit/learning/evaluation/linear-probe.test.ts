import { describe, expect, it } from 'vitest';
import { type LabelledFeatures, selectRows } from '../../../../learning/evaluation/features.ts';
import { minimise } from '../../../../learning/evaluation/lbfgs.ts';
import {
  accuracy,
  chooseProbe,
  type LinearProbe,
  linearProbe,
  linearProbes,
  predict,
} from '../../../../learning/evaluation/linear-probe.ts';
import { principalCoordinates } from '../../../../learning/evaluation/principal-coordinates.ts';
import { softmaxLoss } from '../../../../learning/evaluation/softmax-loss.ts';
import { standardise, statisticsOf } from '../../../../learning/evaluation/standardise.ts';
import { stream } from '../../../../protocol/random.ts';
import { gradientDescent, objective, standardised } from '../../../reference/logistic-regression.ts';
import { blobs, rowsOf } from './blobs.ts';

/** Scores of a probe on the rows it is given, centred over classes (a shift of all scores is no difference). */
function scores(probe: LinearProbe, { features }: LabelledFeatures): number[] {
  return Array.from({ length: features.rows }, (_, i) => {
    const row = Array.from({ length: probe.classes }, (_, c) => {
      let sum = probe.bias[c]!;
      for (let j = 0; j < probe.columns; j++) {
        sum += probe.weights[c * probe.columns + j]! * features.data[i * probe.columns + j]!;
      }
      return sum;
    });
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    return row.map((v) => v - mean);
  }).flat();
}

const expectClose = (a: readonly number[], b: readonly number[], tolerance: number): void => {
  expect(a.length).toBe(b.length);
  a.forEach((v, i) => {
    expect(Math.abs(v - b[i]!), `entry ${i}: ${v} against ${b[i]}`).toBeLessThan(tolerance);
  });
};

describe('linearProbe', () => {
  it('agrees with gradient descent on the definition, run to convergence', () => {
    const train = blobs(1, 30, 4, 3, 0.7);
    const penalty = 0.05;
    const x = standardised(rowsOf(train));
    const reference = gradientDescent(x, [...train.labels], 3, penalty, { steps: 6000, rate: 0.5 });
    const probe = linearProbe(train, { classes: 3, penalty, tolerance: 1e-9 });
    expect(probe.converged).toBe(true);
    expect(probe.loss).toBeCloseTo(reference.loss, 6); // the bias penalty is worth 5e-7·|b|²
    const expected = x.flatMap((row) => {
      const s = reference.weights.map((w, c) => reference.bias[c]! + w.reduce((t, v, j) => t + v * row[j]!, 0));
      const mean = s.reduce((a, b) => a + b, 0) / s.length;
      return s.map((v) => v - mean);
    });
    expectClose(scores(probe, train), expected, 1e-4);
  });

  it('solves the case of two points: a·λ = σ(−2a)', () => {
    const train = { features: { rows: 2, columns: 1, data: Float64Array.of(-3, 5) }, labels: Int32Array.of(0, 1) };
    const penalty = 0.1;
    let [low, high] = [0, 100];
    for (let i = 0; i < 100; i++) {
      const a = (low + high) / 2;
      if (a * penalty < 1 / (1 + Math.exp(2 * a))) low = a;
      else high = a;
    }
    const probe = linearProbe(train, { classes: 2, penalty, tolerance: 1e-10 });
    // standardised: (x − 1) / 4
    expect(probe.weights[1]).toBeCloseTo(low / 4, 8);
    expect(probe.weights[0]).toBeCloseTo(-low / 4, 8);
    expect(probe.bias[1]! - probe.bias[0]!).toBeCloseTo((-2 * low) / 4, 8);
  });

  it('reaches the same optimum from two starts, and no nearby point is lower', () => {
    const train = blobs(2, 40, 5, 4, 0.5);
    const standard = standardise(train.features, statisticsOf(train.features));
    const f = softmaxLoss({ features: standard, labels: train.labels }, 4, 0.01);
    const rng = stream(3, 'starts');
    const far = Float64Array.from({ length: 24 }, () => 5 * rng.normal());
    const a = minimise(f, new Float64Array(24), { tolerance: 1e-10 });
    const b = minimise(f, far, { tolerance: 1e-10 });
    expect(a.converged && b.converged).toBe(true);
    expectClose([...a.x.subarray(0, 20)], [...b.x.subarray(0, 20)], 1e-6);
    expect(Math.abs(a.value - b.value)).toBeLessThan(1e-9);
    const scratch = new Float64Array(24);
    for (let k = 0; k < 50; k++) {
      const near = a.x.map((v) => v + 0.01 * rng.normal());
      expect(f(near, scratch)).toBeGreaterThan(a.value);
    }
  });

  it('has the gradient of its loss', () => {
    const train = blobs(4, 11, 3, 3, 1);
    const f = softmaxLoss(train, 3, 0.02);
    const rng = stream(5, 'point');
    const x = Float64Array.from({ length: 12 }, () => rng.normal());
    const gradient = new Float64Array(12);
    f(x, gradient);
    const ignored = new Float64Array(12);
    x.forEach((_, k) => {
      const up = f(
        Float64Array.from(x, (v, i) => (i === k ? v + 1e-5 : v)),
        ignored,
      );
      const down = f(
        Float64Array.from(x, (v, i) => (i === k ? v - 1e-5 : v)),
        ignored,
      );
      expect((up - down) / 2e-5).toBeCloseTo(gradient[k]!, 7);
    });
  });

  it('stays finite on separable data, with no classes beyond those that occur, and labels it without error', () => {
    const train = blobs(6, 60, 20, 3, 8);
    const probe = linearProbe(train, { classes: 5, penalty: 1e-4 });
    expect(probe.converged).toBe(true);
    expect([...probe.weights, ...probe.bias].every(Number.isFinite)).toBe(true);
    expect(accuracy(probe, train)).toBe(1);
    expect(accuracy(probe, blobs(7, 90, 20, 3, 8))).toBe(1);
    expect([...predict(probe, blobs(7, 90, 20, 3, 8).features)].every((c) => c < 3)).toBe(true);
  });

  it('leaves a constant feature out and is not moved by scale and offset of the others', () => {
    const train = blobs(8, 50, 3, 2, 0.5);
    const { rows, data } = train.features;
    const widened = new Float64Array(rows * 4);
    for (let i = 0; i < rows; i++) {
      widened.set([7 + 1e4 * data[i * 3]!, data[i * 3 + 1]!, 0.1, data[i * 3 + 2]! - 50], i * 4);
    }
    const wide = { features: { rows, columns: 4, data: widened }, labels: train.labels };
    const options = { classes: 2, penalty: 1e-2, tolerance: 1e-10 };
    const probe = linearProbe(wide, options);
    expect(Math.abs(probe.weights[2]!)).toBe(0);
    expectClose(scores(probe, wide), scores(linearProbe(train, options), train), 1e-6);
  });

  it('solved in the span of few rows equals the problem in all columns', () => {
    const train = blobs(9, 12, 30, 3, 0.4);
    const penalty = 0.01;
    const probe = linearProbe(train, { classes: 3, penalty, tolerance: 1e-10 });
    const statistics = statisticsOf(train.features);
    const standard = standardise(train.features, statistics);
    const full = minimise(softmaxLoss({ features: standard, labels: train.labels }, 3, penalty), new Float64Array(93), {
      tolerance: 1e-10,
    });
    const weights = probe.weights.map((w, k) => w / statistics.inverse[k % 30]!);
    expectClose([...weights], [...full.x.subarray(0, 90)], 1e-7);
    expect(probe.loss).toBeCloseTo(full.value, 10);
  });

  it('is deterministic and unchanged by a neighbouring penalty being solved before', () => {
    const train = blobs(10, 40, 64, 10, 0.4);
    const one = linearProbe(train, { classes: 10, penalty: 1e-3, tolerance: 1e-9 });
    const again = linearProbe(train, { classes: 10, penalty: 1e-3, tolerance: 1e-9 });
    expect(again).toEqual(one);
    const [, second] = linearProbes(train, { classes: 10, penalties: [1e-4, 1e-3, 1e-1], tolerance: 1e-9 });
    expect(second!.penalty).toBe(1e-3);
    expectClose(scores(second!, train), scores(one, train), 1e-4);
  });

  it('needs few iterations where columns say nearly the same, and ends at the minimum of plain L-BFGS', () => {
    const { features, labels } = blobs(17, 200, 24, 4, 0.6);
    const data = Float64Array.from(features.data);
    for (let i = 0; i < features.rows; i++) {
      const shared = 20 * data[i * 24]!;
      for (let j = 1; j < 24; j++) data[i * 24 + j]! += shared;
    }
    const train = { features: { ...features, data }, labels };
    const [penalty, tolerance] = [1e-4, 1e-7];
    const probe = linearProbe(train, { classes: 4, penalty, tolerance });
    const standard = standardise(train.features, statisticsOf(train.features));
    const plain = minimise(softmaxLoss({ features: standard, labels }, 4, penalty), new Float64Array(100), {
      tolerance,
    });
    expect(probe.converged && plain.converged).toBe(true);
    expect(probe.iterations).toBeLessThan(plain.iterations / 3);
    expect(probe.loss).toBeCloseTo(plain.value, 9);
  });

  it('knows the curvature where rows are many: the minimum of plain L-BFGS, in a fraction of its iterations', () => {
    const { features, labels } = blobs(21, 1200, 40, 5, 0.3);
    const data = features.data.map((value, k) => value * (1 + (k % 40)) + (k % 40 > 0 ? 9 : 0)); // scales are undone again
    for (let i = 0; i < 1200; i++) for (let j = 1; j < 40; j++) data[i * 40 + j]! += 3 * data[i * 40 + j - 1]!;
    const train = { features: { ...features, data }, labels };
    const [penalty, tolerance] = [1e-4, 1e-8];
    const probe = linearProbe(train, { classes: 5, penalty, tolerance });
    const standard = standardise(train.features, statisticsOf(train.features));
    const loss = softmaxLoss({ features: standard, labels }, 5, penalty);
    const plain = minimise(loss, new Float64Array(205), { tolerance, maxIterations: 5000, memory: 100 });
    expect(probe.converged && plain.converged).toBe(true);
    expect(probe.loss).toBeCloseTo(plain.value, 9);
    expect(probe.iterations).toBeLessThan(plain.iterations / 3);
  });

  it('a larger penalty gives smaller weights and a worse fit', () => {
    const train = blobs(11, 60, 8, 3, 0.5);
    const x = standardised(rowsOf(train));
    const norms = [1e-3, 1e-1, 10].map((penalty) => {
      const probe = linearProbe(train, { classes: 3, penalty });
      return Math.hypot(...probe.weights);
    });
    expect(norms[0]).toBeGreaterThan(norms[1]!);
    expect(norms[1]).toBeGreaterThan(norms[2]!);
    const zero = objective(
      x,
      [...train.labels],
      [[0], [0], [0]].map(() => new Array(8).fill(0)),
      [0, 0, 0],
      1,
    );
    expect(linearProbe(train, { classes: 3, penalty: 1e-3 }).loss).toBeLessThan(zero);
  });

  it('refuses what has no answer', () => {
    const train = blobs(12, 6, 2, 2, 1);
    expect(() => linearProbe(train, { classes: 2, penalty: 0 })).toThrow(RangeError);
    expect(() => linearProbe(train, { classes: 1, penalty: 1 })).toThrow(/label/);
    const empty = { features: { rows: 0, columns: 2, data: new Float64Array(0) }, labels: new Int32Array(0) };
    expect(() => linearProbe(empty, { classes: 2, penalty: 1 })).toThrow(/no training row/);
    const probe = linearProbe(train, { classes: 2, penalty: 1 });
    expect(() => predict(probe, { rows: 1, columns: 3, data: new Float64Array(3) })).toThrow(/columns/);
  });
});

describe('chooseProbe', () => {
  it('takes the penalty that labels the validation rows best, the largest of equal ones', () => {
    const penalties = [1e-5, 1e-3, 1e-1, 10];
    const train = blobs(13, 20, 60, 4, 0.35);
    const validation = blobs(14, 400, 60, 4, 0.35);
    const { probe, validationAccuracy } = chooseProbe(train, validation, { classes: 4, penalties });
    const scored = penalties.map((penalty) => accuracy(linearProbe(train, { classes: 4, penalty }), validation));
    expect(validationAccuracy).toBe(Math.max(...scored));
    expect(probe.penalty).toBe(penalties[scored.lastIndexOf(Math.max(...scored))]);
    const easy = blobs(15, 40, 10, 2, 20);
    expect(chooseProbe(easy, easy, { classes: 2, penalties }).probe.penalty).toBe(10);
  });
});

describe('principalCoordinates', () => {
  it('reproduces few rows, dependent ones included, and many', () => {
    const { features } = blobs(16, 5, 9, 5, 1);
    const doubled = selectRows(features, [0, 1, 2, 0, 3, 1]);
    const few = principalCoordinates(doubled);
    expect(few.coordinates.columns).toBe(4);
    expectClose([...few.expand(few.coordinates.data, 6)], [...doubled.data], 1e-12);
    const many = blobs(18, 31, 7, 4, 1).features;
    const { coordinates, expand } = principalCoordinates(many);
    expect(coordinates.columns).toBe(7);
    expectClose([...expand(coordinates.data, 31)], [...many.data], 1e-12);
  });

  it('begins with the axes that vary most', () => {
    for (const { features } of [blobs(19, 6, 11, 3, 1), blobs(20, 26, 5, 3, 1)]) {
      const { squares } = principalCoordinates(features);
      expect([...squares]).toEqual([...squares].sort((a, b) => b - a));
    }
  });

  it('has a diagonal XᵀX, and axes of unit length that stand upright on one another', () => {
    for (const { features } of [blobs(19, 6, 11, 3, 1), blobs(20, 26, 5, 3, 1)]) {
      const { coordinates, squares, expand } = principalCoordinates(features);
      const { rows, columns: rank, data } = coordinates;
      const unit = Float64Array.from({ length: rank * rank }, (_, k) => (k % (rank + 1) === 0 ? 1 : 0));
      const axes = expand(unit, rank);
      for (let a = 0; a < rank; a++) {
        for (let b = 0; b < rank; b++) {
          let [product, angle] = [0, 0];
          for (let i = 0; i < rows; i++) product += data[i * rank + a]! * data[i * rank + b]!;
          for (let j = 0; j < features.columns; j++) {
            angle += axes[a * features.columns + j]! * axes[b * features.columns + j]!;
          }
          expect(product).toBeCloseTo(a === b ? squares[a]! : 0, 9);
          expect(angle).toBeCloseTo(a === b ? 1 : 0, 9);
        }
      }
    }
  });
});
