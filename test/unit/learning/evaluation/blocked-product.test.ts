import { describe, expect, it } from 'vitest';
import { blockedProduct, squareProduct } from '../../../../learning/evaluation/blocked-product.ts';
import { multiplyTransposed } from '../../../../learning/evaluation/products.ts';
import { stream } from '../../../../protocol/random.ts';

const random = (seed: number, n: number): Float64Array => {
  const rng = stream(seed, 'numbers');
  return Float64Array.from({ length: n }, () => rng.normal());
};

const apart = (a: Float64Array, b: Float64Array): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - b[k]!)), 0);

// rows of a, rows of b, inner: small, whole blocks, and ends that fill no block
const SHAPES = [
  [3, 2, 5],
  [128, 64, 512],
  [131, 70, 515],
  [65, 1, 20_000],
  [300, 201, 30],
] as const;

describe('blockedProduct', () => {
  it.each(SHAPES)('agrees with plain loops for %i × %i rows of %i', (rows, columns, inner) => {
    const [a, b] = [random(1, rows * inner), random(2, columns * inner)];
    const [out, plain] = [1, 2].map(() => new Float64Array(rows * columns).fill(7));
    for (const _ of ['once', 'again']) {
      blockedProduct(a, b, inner, out!);
      multiplyTransposed(a, b, inner, plain!);
      expect(apart(plain!, out!)).toBeLessThan(1e-9);
    }
  });
});

describe('squareProduct', () => {
  it.each([
    [3, 4],
    [150, 100],
    [200, 600],
  ])('is the whole of a·aᵀ for %i rows of %i', (rows, inner) => {
    const a = random(3, rows * inner);
    const plain = new Float64Array(rows * rows);
    multiplyTransposed(a, a, inner, plain);
    const out = squareProduct(a, inner);
    expect(out.length).toBe(rows * rows);
    expect(apart(plain, out)).toBeLessThan(1e-9);
  });
});
