import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitRaster, writeUnit } from '../../../../learning/data/fit.ts';
import type { Raster } from '../../../../learning/data/raster.ts';
import { stream } from '../../../../protocol/random.ts';
import { resizeByDefinition } from '../../../reference/resample.ts';

const noise = (height: number, width: number, channels: number, seed: number, maximum = 255): Raster => {
  const rng = stream(seed, 'noise');
  const length = height * width * channels;
  const data = maximum > 255 ? new Uint16Array(length) : new Uint8Array(length);
  return { height, width, channels, maximum, data: data.map(() => rng.below(maximum + 1)) };
};

const values = (raster: Raster): number[] => {
  const out = new Float32Array(raster.data.length);
  writeUnit(raster, out, 0);
  return [...out];
};

const fitted = (raster: Raster, shape: [number, number, number], resize: 'error' | 'cover' | 'contain' = 'error') =>
  values(fitRaster(raster, { shape, resize }, 'x.png'));

const close = (found: readonly number[], wanted: readonly number[], within = 1e-6): void => {
  expect(found.length).toBe(wanted.length);
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
  expect(worst).toBeLessThan(within);
};

const sides = fc.integer({ min: 1, max: 12 });

describe('fitting an image to the plan', () => {
  it('resizes as defined, whatever the sizes', () => {
    const resize = fc.constantFrom('cover' as const, 'contain' as const);
    const channels = fc.constantFrom(1, 3);
    fc.assert(
      fc.property(sides, sides, sides, sides, channels, resize, fc.nat(), (h, w, H, W, c, how, seed) => {
        fc.pre(h !== H || w !== W);
        const raster = noise(h, w, c, seed);
        const at = (y: number, x: number, k: number): number => raster.data[(y * w + x) * c + k]! / 255;
        const wanted = resizeByDefinition({ height: h, width: w, channels: c, at }, [H, W], how);
        close(fitted(raster, [H, W, c], how), wanted);
      }),
      { numRuns: 200 },
    );
  });

  it('cover keeps the middle, contain pads with zeros around it', () => {
    const row = { height: 1, width: 4, channels: 1, maximum: 255, data: Uint8Array.of(255, 51, 102, 255) };
    const two = { ...row, height: 2, data: Uint8Array.of(255, 51, 102, 255, 255, 51, 102, 255) };
    close(fitted(two, [2, 2, 1], 'cover'), [0.2, 0.4, 0.2, 0.4]);
    close(fitted(row, [4, 4, 1], 'contain'), [0, 0, 0, 0, 1, 0.2, 0.4, 1, ...new Array(8).fill(0)]);
  });

  it('leaves a constant image constant and averages when it shrinks', () => {
    const flat: Raster = { height: 9, width: 6, channels: 3, maximum: 255, data: new Uint8Array(162).fill(51) };
    close(fitted(flat, [4, 4, 3], 'cover'), new Array(48).fill(0.2));
    const checkers: Raster = {
      height: 64,
      width: 64,
      channels: 1,
      maximum: 255,
      data: Uint8Array.from({ length: 4096 }, (_, i) => (((i % 64) + (i >> 6)) % 2) * 255),
    };
    close(fitted(checkers, [8, 8, 1], 'cover'), new Array(64).fill(0.5), 0.01);
  });

  it('commutes with mirroring', () => {
    fc.assert(
      fc.property(sides, sides, fc.nat(), (h, w, seed) => {
        const raster = noise(h, w, 1, seed);
        const mirrored = { ...raster, data: raster.data.slice() };
        for (let p = 0; p < h * w; p++) mirrored.data[p] = raster.data[p - (p % w) + (w - 1 - (p % w))]!;
        const a = fitted(raster, [5, 7, 1], 'cover');
        const b = fitted(mirrored, [5, 7, 1], 'cover');
        close(
          b,
          a.map((_, p) => a[p - (p % 7) + (6 - (p % 7))]!),
        );
      }),
    );
  });

  it('keeps bytes as bytes and 16-bit values exactly when nothing needs to change', () => {
    const bytes = noise(4, 4, 1, 1);
    expect(fitRaster(bytes, { shape: [4, 4, 1], resize: 'error' }, 'x')).toBe(bytes);
    const wide = noise(4, 4, 1, 2, 65535);
    expect(fitted(wide, [4, 4, 1])).toEqual(Array.from(wide.data, (value) => Math.fround(value / 65535)));
    const digits = noise(4, 4, 1, 3, 16);
    expect(fitted(digits, [4, 4, 1])).toEqual(Array.from(digits.data, (value) => value / 16));
  });

  it('makes grey of colours by BT.601 luma, and colours of grey', () => {
    const rgb = { height: 1, width: 2, channels: 3, maximum: 255, data: Uint8Array.of(255, 0, 0, 10, 20, 30) };
    close(fitted(rgb, [1, 2, 1]), [0.299, (2.99 + 11.74 + 3.42) / 255]);
    const grey = { height: 1, width: 2, channels: 1, maximum: 255, data: Uint8Array.of(51, 255) };
    close(fitted(grey, [1, 2, 3]), [0.2, 0.2, 0.2, 1, 1, 1]);
  });

  it('puts transparent pixels on black', () => {
    const rgba = {
      height: 1,
      width: 2,
      channels: 4,
      maximum: 255,
      data: Uint8Array.of(255, 255, 255, 0, 255, 51, 0, 51),
    };
    close(fitted(rgba, [1, 2, 3]), [0, 0, 0, 0.2, 0.04, 0]);
    const wide = { height: 1, width: 1, channels: 2, maximum: 65535, data: Uint16Array.of(65535, 13107) };
    close(fitted(wide, [1, 1, 1]), [0.2]);
    close(fitted(wide, [1, 1, 3]), [0.2, 0.2, 0.2]);
    close(
      fitted(rgba, [1, 1, 3], 'cover'),
      resizeByDefinition(
        {
          height: 1,
          width: 2,
          channels: 3,
          at: (_, x, c) =>
            [
              [0, 0, 0],
              [0.2, 0.04, 0],
            ][x]![c]!,
        },
        [1, 1],
        'cover',
      ),
    );
  });

  it('refuses another size under resize: error, and says what would help', () => {
    const fitting = () => fitted(noise(32, 24, 3, 0), [28, 28, 1]);
    expect(fitting).toThrow('x.png is 32×24×3, the plan wants 28×28×1');
    try {
      fitting();
    } catch (error) {
      expect(error).toMatchObject({
        code: 'data/wrong-shape',
        where: 'x.png',
        hint: expect.stringMatching(/cover.*contain/),
      });
    }
  });
});
