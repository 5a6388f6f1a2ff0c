/** The masking thread gives what masking on this thread gives, whatever is under way beside it. */
import { expect, test } from 'vitest';
import { equalBytes } from '../../../../protocol/bytes.ts';
import type { Mask } from '../../../../protocol/crypto/masks.ts';
import { applyMasks } from '../../../../protocol/node/mask-thread.ts';
import { applyMasksHere } from '../../../../protocol/node/masks.ts';

const wordsOf = (seed: number, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.imul(i + seed, 0x7fedcba9));
const masksOf = (seed: number, count: number): Mask[] =>
  Array.from({ length: count }, (_, i) => ({ key: new Uint8Array(32).fill(seed + i), sign: i % 3 === 0 ? -1 : 1 }));
const bytes = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer);

test('many vectors at a time, small and large, with the keys erased while they are under way', async () => {
  const lengths = [400_001, 7, 262_144, 400_001, 300_000];
  const cases = lengths.map((length, i) => ({ words: wordsOf(i, length), masks: masksOf(10 * i, 5) }));
  const expected = cases.map(({ words }) => words.slice());
  for (const [i, words] of expected.entries()) await applyMasksHere(words, cases[i]!.masks, 8);
  const running = cases.map(({ words, masks }) => applyMasks(words, masks, 8));
  for (const { key } of cases[0]!.masks) key.fill(0);
  await Promise.all(running);
  for (const [i, { words }] of cases.entries())
    expect(equalBytes(bytes(words), bytes(expected[i]!)), `${i}`).toBe(true);
  // memory that was used before brings nothing along
  const again = wordsOf(3, 400_001);
  await applyMasks(again, cases[3]!.masks, 8);
  expect(equalBytes(bytes(again), bytes(expected[3]!))).toBe(true);
});

test('a place inside of a block is refused, and the thread goes on', async () => {
  const words = wordsOf(1, 300_000);
  await expect(applyMasks(words, masksOf(1, 4), 2)).rejects.toThrow(RangeError);
  expect(equalBytes(bytes(words), bytes(wordsOf(1, 300_000)))).toBe(true);
  await applyMasks(words, masksOf(1, 4));
  const here = wordsOf(1, 300_000);
  await applyMasksHere(here, masksOf(1, 4));
  expect(equalBytes(bytes(words), bytes(here))).toBe(true);
});
