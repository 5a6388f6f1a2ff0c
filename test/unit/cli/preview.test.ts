import { expect, test } from 'vitest';
import { contactSheet } from '../../../cli/preview.ts';
import { float32 } from '../../../protocol/tensors.ts';

test('a contact sheet has a row for each example, a column for each view, and enlarges small images pixel by pixel', () => {
  const first = float32([2, 1, 2, 1], Float32Array.of(0, 1, 0.5, 2));
  const second = float32([2, 1, 2, 1], Float32Array.of(-1, 0.25, 1, 0));
  const { width, height, channels, data } = contactSheet([first, second]);
  // 1×2 images enlarged 32 times, 4 pixels between them
  expect([width, height, channels]).toEqual([2 * 68 + 4, 2 * 36 + 4, 1]);
  const pixel = (x: number, y: number): number => data[y * width + x]!;
  expect([pixel(0, 0), pixel(4, 4), pixel(35, 35), pixel(36, 4), pixel(67, 35), pixel(68, 4)]).toEqual([
    255, 0, 0, 255, 255, 255,
  ]);
  expect([pixel(72, 4), pixel(104, 4)]).toEqual([0, 64]);
  expect([pixel(4, 40), pixel(36, 40), pixel(72, 40), pixel(104, 40)]).toEqual([128, 255, 255, 0]);
});

test('colours stay beside each other', () => {
  const { data, width, channels } = contactSheet([float32([1, 64, 64, 3], new Float32Array(3 * 64 * 64).fill(1))]);
  expect(channels).toBe(3);
  expect(width).toBe(72);
  expect(data.every((v) => v === 255)).toBe(true);
});
