import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from '../../../cli/suggest.ts';

const known = ['count', 'cohort', 'maxCohort', 'minReports', 'overSelection', 'steps'];

test('a misspelt word finds the word that was meant', () => {
  expect(nearest('cout', known)).toBe('count');
  expect(nearest('chort', known)).toBe('cohort');
  expect(nearest('maxcohort', known)).toBe('maxCohort');
  expect(nearest('reports', known)).toBe('minReports');
  expect(nearest('setps', known)).toBe('steps');
});

test('a word that resembles nothing finds nothing', () => {
  expect(nearest('temperature', known)).toBeUndefined();
  expect(nearest('x', known)).toBeUndefined();
  expect(nearest('anything', [])).toBeUndefined();
});

test('distances of known pairs', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('ab', 'ba')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
});

test('the distance is symmetric, zero only for equal words, and bounded by the longer one', () => {
  const word = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'b', 'c') });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const d = editDistance(a, b);
      expect(d).toBe(editDistance(b, a));
      expect(d === 0).toBe(a === b);
      expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});
