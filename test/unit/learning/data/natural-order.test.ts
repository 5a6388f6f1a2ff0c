import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePaths, naturalCompare } from '../../../../learning/data/natural-order.ts';

describe('natural order', () => {
  it('sorts numbers by value wherever they stand', () => {
    const wanted = ['', '1', '01', '1a', '2', '10', 'a', 'a1b2', 'a1b10', 'a2', 'a10', 'b', 'ä'];
    const sorted = wanted.toReversed().sort(naturalCompare);
    expect(sorted.filter((name) => name !== '01')).toEqual(wanted.filter((name) => name !== '01'));
    expect(Math.abs(sorted.indexOf('01') - sorted.indexOf('1'))).toBe(1);
  });

  it('keeps the files of a folder together', () => {
    expect(['a-1/x', 'a/2', 'a/10', 'a'].sort(comparePaths)).toEqual(['a', 'a/2', 'a/10', 'a-1/x']);
  });

  it('is a total order: antisymmetric, transitive, equal only for the same text', () => {
    const name = fc.stringMatching(/^[0-9ab.]{0,6}$/);
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        const ab = Math.sign(naturalCompare(a, b));
        expect(Math.sign(naturalCompare(b, a)) + ab).toBe(0);
        expect(ab === 0).toBe(a === b);
        if (ab <= 0 && naturalCompare(b, c) <= 0) expect(naturalCompare(a, c)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });
});
