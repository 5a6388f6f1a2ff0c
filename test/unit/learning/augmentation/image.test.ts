import { describe, expect, it } from 'vitest';
import { image } from '../../../../learning/augmentation/image.ts';
import { type ImageSpec, imageSchema } from '../../../../learning/augmentation/image-spec.ts';
import type { ImageShape } from '../../../../learning/contracts.ts';
import { activate, type Backend, loadBackend } from '../../../../learning/engine/eager-backend.ts';
import { type Rng, stream } from '../../../../protocol/random.ts';
import { float32, type NDArray, sizeOf } from '../../../../protocol/tensors.ts';
import { deviation, toImages } from '../../../reference/arrays.ts';
import type { Image } from '../../../reference/network.ts';
import { brightnessOf, place, recolour } from '../../../reference/views.ts';
import { BACKENDS } from '../ops/gradients.ts';

const specOf = (options: object): ImageSpec => imageSchema.parse({ name: 'image', ...options });

/** A generator that gives these numbers in turn. */
function scripted(...numbers: readonly number[]): Rng {
  let next = 0;
  const take = (): number => {
    const value = numbers[next++];
    if (value === undefined) throw new Error('drew more than was scripted');
    return value;
  };
  return { next: take, uint32: take, normal: take, below: (bound) => Math.floor(take() * bound) };
}

const pictures = (shape: ImageShape, count = 2, seed = 6): NDArray => {
  const rng = stream(seed, 'pictures');
  return float32(
    [count, ...shape],
    Float32Array.from({ length: count * sizeOf(shape) }, () => rng.next()),
  );
};

async function view(images: NDArray, options: object, rng: Rng, backend: Backend = 'cpu'): Promise<Float32Array> {
  const spec = specOf(options);
  const shape = images.shape.slice(1) as unknown as ImageShape;
  const draws = image.draw(rng, spec, shape, images.shape[0]!);
  const declared = image.specs(spec, shape, images.shape[0]!);
  expect(Object.fromEntries(Object.entries(draws).map(([k, { shape: s, dtype }]) => [k, { shape: s, dtype }]))).toEqual(
    declared,
  );
  for (const { shape: s, data } of Object.values(draws)) expect(data.length).toBe(sizeOf(s));
  const nn = await loadBackend(backend, {});
  const { tf } = nn;
  activate(tf, backend);
  const before = tf.memory().numTensors;
  const result = tf.tidy(() => {
    const tensors = Object.fromEntries(
      Object.entries(draws).map(([k, { data, shape: s, dtype }]) => [k, tf.tensor(data, [...s], dtype)]),
    );
    const views = image.apply(nn, tf.tensor(images.data, [...images.shape]), tensors, spec);
    expect(views.shape).toEqual(images.shape);
    return Float32Array.from(views.dataSync());
  });
  expect(tf.memory().numTensors).toBe(before);
  return result;
}

const flat = (images: readonly Image[]): number[] => images.flat(3);

describe.each(BACKENDS)('views on %s', (backend) => {
  const half = Math.sqrt(0.25 / 2); // a quarter of the area, twice as wide as high
  // per image: area, aspect, y, x, flip, angle
  const places = [
    { name: 'whole', draws: [1, 0.5, 0.3, 0.3, 0.9, 0.5], at: { top: 0, left: 0, height: 1, width: 1 } },
    { name: 'top left quarter', draws: [0, 0.5, 0, 0, 0.9, 0.5], at: { top: 0, left: 0, height: 0.5, width: 0.5 } },
    { name: 'mirrored', draws: [1, 0.5, 0, 0, 0.1, 0.5], at: { top: 0, left: 0, height: 1, width: 1, mirrored: true } },
    {
      name: 'low and wide',
      draws: [0, 1, 1, 0.5, 0.9, 0.5],
      at: { top: 1 - half, left: (1 - 2 * half) / 2, height: half, width: 2 * half },
    },
  ];
  const shapes: readonly ImageShape[] = [
    [8, 8, 1],
    [6, 5, 3],
  ];

  it.each(places)('crop and flip: $name', async ({ draws, at }) => {
    for (const shape of shapes) {
      const images = pictures(shape, 1);
      const options = { crop: [0.25, 1], aspect: [0.5, 2], flip: 0.5 };
      const expected = flat(toImages(images).map((picture) => place(picture, at)));
      expect(deviation(await view(images, options, scripted(...draws), backend), expected)).toBeLessThan(1e-5);
    }
  });

  it.each([-30, 12, 90])('rotation by %i degrees, cropped and mirrored', async (degrees) => {
    for (const shape of shapes) {
      const images = pictures(shape, 2);
      const options = { crop: [0.25, 1], aspect: [1, 1], flip: 0.5, rotateDegrees: 90 };
      const turn = (degrees + 90) / 180;
      const rng = scripted(1, 0.5, 0, 0, 0.9, turn, 0, 0.5, 0.5, 1, 0.1, turn);
      const [first, second] = toImages(images) as [Image, Image];
      const expected = [
        place(first, { top: 0, left: 0, height: 1, width: 1, degrees }),
        place(second, { top: 0.25, left: 0.5, height: 0.5, width: 0.5, mirrored: true, degrees }),
      ];
      expect(deviation(await view(images, options, rng, backend), flat(expected))).toBeLessThan(1e-5);
    }
  });

  it('brightness, contrast and saturation', async () => {
    const options = { brightness: 0.4, contrast: 0.6, saturation: 0.5 };
    const [gray, colour] = [pictures([4, 5, 1], 1), pictures([5, 4, 3], 1)];
    // applied?, brightness, contrast (saturation, hue, grey?)
    const expectedGray = flat(toImages(gray).map((picture) => recolour(picture, 1.2, 0.7)));
    expect(deviation(await view(gray, options, scripted(0.5, 0.75, 0.25), backend), expectedGray)).toBeLessThan(1e-5);
    const expected = flat(toImages(colour).map((picture) => recolour(picture, 1.2, 0.7, 1.25)));
    const rng = scripted(0.5, 0.75, 0.25, 0.75, 0.5, 0.5);
    expect(deviation(await view(colour, options, rng, backend), expected)).toBeLessThan(2e-3); // YIQ has 3 digits
  });

  it('views without colour: three equal channels of the same brightness', async () => {
    const images = pictures([4, 4, 3], 1);
    const [gray] = toImages({ shape: images.shape, data: await view(images, { grey: 1 }, stream(1, 'grey'), backend) });
    for (const [i, row] of gray!.entries())
      for (const [j, pixel] of row.entries())
        for (const v of pixel) expect(v).toBeCloseTo(brightnessOf(toImages(images)[0]![i]![j]!), 2);
  });

  it('half a turn of the hue changes the colours and keeps the brightness', async () => {
    const images = float32(
      [1, 2, 2, 3],
      Float32Array.from({ length: 12 }, (_, i) => 0.4 + 0.02 * ((i * 5) % 7)),
    );
    const rng = scripted(0, 0.5, 0.5, 0.5, 1, 0.9); // hue drawn at +0.5
    const turned = toImages({ shape: images.shape, data: await view(images, { hue: 0.5 }, rng, backend) });
    const original = toImages(images);
    expect(deviation(flat(turned), flat(original))).toBeGreaterThan(0.05);
    for (const [i, row] of turned[0]!.entries())
      for (const [j, pixel] of row.entries())
        expect(brightnessOf(pixel)).toBeCloseTo(brightnessOf(original[0]![i]![j]!), 2);
  });

  it('solarises: inverts the bright half of some views', async () => {
    const images = float32([2, 1, 4, 1], Float32Array.of(0.1, 0.5, 0.7, 1, 0.1, 0.5, 0.7, 1));
    const solarised = await view(images, { solarise: 0.5 }, scripted(0.4, 0.6), backend);
    expect(deviation(solarised, [0.1, 0.5, 0.3, 0, 0.1, 0.5, 0.7, 1])).toBeLessThan(1e-6);
  });

  it('erases one rectangle', async () => {
    const images = float32([2, 6, 8, 1], new Float32Array(96).fill(1));
    const options = { erase: { probability: 0.5, area: [0.25, 0.25], aspect: [3, 3] } };
    // erased?, area, aspect, row, column; the second image stays whole
    const rng = scripted(0.1, 0.5, 0.5, 0.99, 0, 0.9);
    const [first, second] = toImages({ shape: images.shape, data: await view(images, options, rng, backend) });
    const expected = first!.map((row, i) => row.map((_, j) => [i >= 4 && j < 6 ? 0 : 1]));
    expect(first).toEqual(expected);
    expect(second!.flat(2).every((v) => v === 1)).toBe(true);
  });

  it('blurs with a Gaussian, and only some', async () => {
    const images = float32([2, 7, 7, 1]);
    images.data[24] = 1;
    images.data[49 + 24] = 1;
    const options = { blur: { probability: 0.5, sigma: [1, 1] } };
    const [blurred, plain] = toImages({
      shape: images.shape,
      data: await view(images, options, scripted(0.1, 0.5, 0.9), backend),
    });
    expect(plain!.flat(2).reduce((sum, v) => sum + v, 0)).toBeCloseTo(1, 5);
    expect(plain![3]![3]![0]).toBe(1);
    const weights = [-3, -2, -1, 0, 1, 2, 3].map((k) => Math.exp(-(k ** 2) / 2));
    const total = weights.reduce((sum, v) => sum + v, 0);
    for (let i = 0; i < 7; i++)
      for (let j = 0; j < 7; j++) expect(blurred![i]![j]![0]).toBeCloseTo((weights[i]! * weights[j]!) / total ** 2, 5);
  });
});

describe('the augmentation `image`', () => {
  it('does nothing by default, and draws nothing', async () => {
    const images = pictures([5, 5, 3]);
    expect(image.specs(specOf({}), [5, 5, 3], 2)).toEqual({});
    expect(await view(images, {}, scripted())).toEqual(images.data);
  });

  it('gives the same views for the same seed, others for another, and stays in [0, 1]', async () => {
    const options = {
      crop: [0.3, 1],
      flip: 0.5,
      rotateDegrees: 20,
      brightness: 0.8,
      contrast: 0.8,
      saturation: 0.8,
      hue: 0.2,
      grey: 0.2,
      solarise: 0.2,
      blur: { probability: 0.5 },
      erase: { probability: 0.5 },
    };
    const images = pictures([9, 9, 3], 4);
    const one = await view(images, options, stream(1, 'views'));
    expect(await view(images, options, stream(1, 'views'))).toEqual(one);
    expect(await view(images, options, stream(2, 'views'))).not.toEqual(one);
    expect(one.every((v) => v >= 0 && v <= 1)).toBe(true);
  });

  it('with a vanishing rotation is what it is without one', async () => {
    const images = pictures([8, 8, 1], 5);
    const options = { crop: [0.3, 0.8], flip: 0.5 };
    const separable = await view(images, options, stream(3, 'views'));
    const gathered = await view(images, { ...options, rotateDegrees: 1e-9 }, stream(3, 'views'));
    expect(deviation(gathered, separable)).toBeLessThan(1e-5);
  });

  it('refuses ranges that do not rise', () => {
    for (const options of [{ crop: [1, 0.5] }, { crop: [0, 1] }, { erase: { area: [0.5, 0.1] } }, { zoom: 2 }])
      expect(imageSchema.safeParse({ name: 'image', ...options }).success).toBe(false);
  });
});
