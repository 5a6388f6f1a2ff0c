/** The inversion on real digits, small: it must succeed in the clear, and fail on what secure aggregation and noise leave. */
import { expect, test } from 'vitest';
import { createPool } from '../../../learning/pool/pool.ts';
import { correlation, invertFirstLayer } from '../../../simulations/inversion/attack.ts';
import { runInversion, type Scene } from '../../../simulations/inversion/experiment.ts';
import { inversionPage } from '../../../simulations/inversion/page.ts';

test('correlation ignores brightness, contrast, and nothing else', () => {
  const x = [0, 1, 4, 9];
  expect(
    correlation(
      x,
      x.map((v) => 3 * v - 7),
    ),
  ).toBeCloseTo(1, 12);
  expect(
    correlation(
      x,
      x.map((v) => -v),
    ),
  ).toBeCloseTo(-1, 12);
  expect(correlation(x, [1, 1, 1, 1])).toBe(0);
  expect(Math.abs(correlation([0, 1, 0, 1], [0, 0, 1, 1]))).toBeLessThan(1e-12);
});

test('the attack reads an image off a layer of rank one, whatever the signs', () => {
  const image = [0, 0.5, 1, 0.25];
  const kernel = Float32Array.from(image.flatMap((x) => [-2, 0.1, 0].map((g) => x * g)));
  const guesses = invertFirstLayer(kernel, 4, 5);
  expect(guesses).toHaveLength(1);
  expect(correlation(guesses[0]!, image)).toBeCloseTo(1, 6);
});

test('an update in the clear is the image; a masked report, a sum of many and a noised sum are not', async () => {
  const pool = await createPool({ engine: 'eager:cpu', workers: 0 });
  const result = await runInversion({ pool, batches: [1, 64], steps: [] }).finally(() => pool.close());
  const of = (kind: Scene['kind'], images: number): Scene =>
    result.scenes.find((scene) => scene.kind === kind && scene.images === images)!;
  expect(of('clear', 1).correlation).toBeGreaterThan(0.99);
  expect(of('clear', 1).recovered).toBe(1);
  expect(of('clear', 64).correlation).toBeLessThan(of('clear', 1).correlation - 0.05);
  // masks are fresh randomness: the correlation of 16 random pictures of 64 pixels with an image passes 0.7 with 1e-10
  expect(of('masked', 1).correlation).toBeLessThan(0.7);
  expect(of('masked', 1).recovered).toBe(0);
  expect(of('sum', 16).recovered).toBeLessThan(0.05);
  expect(of('sum', 16).correlation).toBeLessThan(of('sum', 16).chance + 0.1);
  expect(of('noised', 1).correlation).toBeLessThan(0.7);
  expect(of('noised', 1).recovered).toBe(0);

  const page = inversionPage(result);
  expect(page.match(/<section class="(leaks|holds)">/g)).toHaveLength(result.scenes.length);
  expect(page).not.toMatch(/(src|href)="(?!data:)/);
});
