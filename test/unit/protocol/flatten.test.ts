import { expect, test } from 'vitest';
import { dimensionOf, flatten, unflatten } from '../../../protocol/flatten.ts';
import { float32, type NamedSpecs } from '../../../protocol/tensors.ts';

const specs: NamedSpecs = {
  'z/first': { shape: [2, 2], dtype: 'float32' },
  'a/second': { shape: [], dtype: 'float32' },
  'm/third': { shape: [3], dtype: 'float32' },
};
const arrays = {
  'a/second': float32([], Float32Array.of(5)),
  'm/third': float32([3], Float32Array.of(6, 7, 8)),
  'z/first': float32([2, 2], Float32Array.of(1, 2, 3, 4)),
};

test('the order is the manifest’s, not the arrays’ and not the alphabet’s', () => {
  expect(dimensionOf(specs)).toBe(8);
  expect([...flatten(arrays, specs)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  const back = unflatten(flatten(arrays, specs), specs);
  expect(back).toEqual(arrays);
  expect(Object.keys(back)).toEqual(Object.keys(specs));
});

test('arrays that come back are copies', () => {
  const flat = flatten(arrays, specs);
  const back = unflatten(flat, specs);
  flat.fill(0);
  expect([...back['m/third']!.data]).toEqual([6, 7, 8]);
});

test('what is missing or of another size is refused', () => {
  const mismatch = expect.objectContaining({ code: 'weights/mismatch' });
  expect(() => flatten({ ...arrays, 'm/third': float32([2]) }, specs)).toThrow(mismatch);
  expect(() => flatten({}, specs)).toThrow(mismatch);
  expect(() => unflatten(new Float32Array(7), specs)).toThrow(mismatch);
  expect(() => unflatten(new Float32Array(9), specs)).toThrow(mismatch);
});
