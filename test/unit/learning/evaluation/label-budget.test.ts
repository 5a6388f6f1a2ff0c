import { describe, expect, it } from 'vitest';
import { selectLabelled } from '../../../../learning/evaluation/features.ts';
import { labelCurve, probeCurve } from '../../../../learning/evaluation/label-budget.ts';
import { accuracy, linearProbe } from '../../../../learning/evaluation/linear-probe.ts';
import { blobs } from './blobs.ts';

const train = blobs(1, 120, 16, 4, 0.5);
const test = blobs(2, 200, 16, 4, 0.5);
/** Rows 4i … 4i+3 hold one example of each class. */
const rows = (from: number, perClass: number): Int32Array =>
  Int32Array.from({ length: 4 * perClass }, (_, i) => 4 * from + i);
const draws = [
  [rows(0, 1), rows(1, 1), rows(2, 1)],
  [rows(3, 5), rows(8, 5), rows(13, 5)],
];
const input = { train, test, classes: 4, draws, validation: rows(20, 10), penalties: [1e-3, 1e-1, 10] };

describe('probeCurve', () => {
  it('scores each draw with one penalty per label count, chosen by mean validation accuracy', () => {
    const curve = probeCurve(input);
    const validation = selectLabelled(train, input.validation);
    draws.forEach((list, i) => {
      const quality = input.penalties.map((penalty) => {
        const scores = list.map((d) =>
          accuracy(linearProbe(selectLabelled(train, d), { classes: 4, penalty }), validation),
        );
        return scores.reduce((a, b) => a + b, 0) / scores.length;
      });
      const best = input.penalties[quality.lastIndexOf(Math.max(...quality))]!;
      expect(curve.penalties[i]).toBe(best);
      const expected = list.map((d) =>
        accuracy(linearProbe(selectLabelled(train, d), { classes: 4, penalty: best }), test),
      );
      curve.draws[i]!.forEach((score, j) => {
        expect(score).toBeCloseTo(expected[j]!, 12);
      });
    });
    expect(curve.mean[1]).toBeGreaterThan(curve.mean[0]!);
  });

  it('neither test labels nor test features choose anything', () => {
    const shuffled = { features: test.features, labels: test.labels.map((c) => (c + 1) % 4) };
    expect(probeCurve({ ...input, test: shuffled }).penalties).toEqual(probeCurve(input).penalties);
  });

  it('reports each draw, and ends when that throws', () => {
    const seen: string[] = [];
    probeCurve(input, (done, total) => seen.push(`${done}/${total}`));
    expect(seen).toEqual(['1/6', '2/6', '3/6', '4/6', '5/6', '6/6']);
    const stop = (done: number): void => {
      if (done === 2) throw new Error('stop');
    };
    expect(() => probeCurve(input, stop)).toThrow('stop');
  });
});

describe('labelCurve', () => {
  it('gives mean and sample deviation', () => {
    const curve = labelCurve([[0.5], [0.2, 0.4, 0.9]]);
    expect(curve.mean).toEqual([0.5, 0.5]);
    expect(curve.sd[0]).toBe(0);
    expect(curve.sd[1]).toBeCloseTo(Math.sqrt((0.09 + 0.01 + 0.16) / 2), 12);
  });
});
