import { describe, expect, it } from 'vitest';
import { permutation, stream } from '../../../protocol/random.ts';

describe('random streams', () => {
  it('are the same for the same name and differ for any other', () => {
    const draw = (...args: Parameters<typeof stream>) => Array.from({ length: 4 }, stream(...args).uint32);
    expect(draw(7, 'batches', 'a', 1, 0)).toEqual(draw(7, 'batches', 'a', 1, 0));
    const others = [draw(8, 'batches', 'a', 1, 0), draw(7, 'init', 'a', 1, 0), draw(7, 'batches', 'a', 1, 1)];
    for (const other of others) expect(other).not.toEqual(draw(7, 'batches', 'a', 1, 0));
  });

  it('do not confuse the boundaries of their names', () => {
    expect(stream(1, 'a', 'bc').uint32()).not.toBe(stream(1, 'ab', 'c').uint32());
  });

  it('give uniform and normal numbers', () => {
    const rng = stream(3, 'moments');
    const n = 200_000;
    let sum = 0;
    let normalSum = 0;
    let normalSquares = 0;
    for (let i = 0; i < n; i++) {
      sum += rng.next();
      const z = rng.normal();
      normalSum += z;
      normalSquares += z * z;
    }
    expect(Math.abs(sum / n - 0.5)).toBeLessThan(0.005);
    expect(Math.abs(normalSum / n)).toBeLessThan(0.012);
    expect(Math.abs(normalSquares / n - 1)).toBeLessThan(0.02);
  });

  it('permute every position', () => {
    const order = permutation(stream(5, 'order'), 100);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect([...order]).not.toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});
