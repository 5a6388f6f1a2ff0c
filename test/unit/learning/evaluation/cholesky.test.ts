import { describe, expect, it } from 'vitest';
import { factorise, solveInPlace } from '../../../../learning/evaluation/cholesky.ts';
import { multiplyTransposed } from '../../../../learning/evaluation/products.ts';
import { stream } from '../../../../protocol/random.ts';

const n = 7;
const rng = stream(1, 'cholesky');
const root = Float64Array.from({ length: n * n }, () => rng.normal());
const matrix = new Float64Array(n * n);
multiplyTransposed(root, root, n, matrix);

describe('factorise', () => {
  it('gives a lower factor whose product with itself is the matrix', () => {
    const factor = factorise(matrix.slice(), n).map((v, k) => (k % n > Math.floor(k / n) ? 0 : v));
    const product = new Float64Array(n * n);
    multiplyTransposed(factor, factor, n, product);
    for (const [k, value] of matrix.entries()) expect(product[k]).toBeCloseTo(value, 10);
  });

  it('refuses what is not positive definite', () => {
    expect(() => factorise(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/row 1/);
  });
});

describe('solveInPlace', () => {
  it('solves for the first n numbers and leaves the others', () => {
    const b = Float64Array.from({ length: n + 1 }, (_, k) => k - 3);
    const x = b.slice();
    solveInPlace(factorise(matrix.slice(), n), n, x);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += matrix[i * n + j]! * x[j]!;
      expect(sum).toBeCloseTo(b[i]!, 9);
    }
    expect(x[n]).toBe(n - 3);
  });
});
