import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Encoder, ImageShape } from '../../../../learning/contracts.ts';
import { activate, loadBackend } from '../../../../learning/engine/eager-backend.ts';
import { encoders, pretexts } from '../../../../learning/registry.ts';
import { TacitError } from '../../../../protocol/errors.ts';
import { stream } from '../../../../protocol/random.ts';
import { sizeOf } from '../../../../protocol/tensors.ts';
import { deviation, dot, randomArray, toImages, toNamedWeights } from '../../../reference/arrays.ts';
import { conv, mlp, resnet } from '../../../reference/network.ts';
import { vit } from '../../../reference/vit.ts';
import { BACKENDS } from '../ops/gradients.ts';

const encoder = (name: string): Encoder => encoders.get(name)!;
const count = (name: string, options: object, shape: ImageShape): number =>
  Object.values(encoder(name).manifest(encoder(name).schema.parse({ name, ...options }), shape)).reduce(
    (n, spec) => n + sizeOf(spec.shape),
    0,
  );

const cases = [
  { name: 'mlp', options: { hidden: [12, 7], dim: 5 }, shape: [4, 4, 1] as const },
  { name: 'mlp', options: { hidden: [], dim: 3 }, shape: [3, 2, 3] as const },
  { name: 'mlp', options: { hidden: [6], dim: 4, normalisation: 'none' }, shape: [3, 3, 1] as const },
  { name: 'conv', options: { filters: [4, 8], strides: [1, 2], groups: 2 }, shape: [5, 6, 1] as const },
  { name: 'conv', options: { filters: [6], strides: [2], groups: 3 }, shape: [4, 4, 3] as const },
  { name: 'resnet', options: { depth: 8, width: 4, groups: 2 }, shape: [7, 6, 1] as const },
  { name: 'resnet', options: { depth: 18, width: 2, groups: 1 }, shape: [8, 8, 3] as const },
  { name: 'vit', options: { patch: 2, dim: 6, depth: 2, heads: 3, expansion: 2 }, shape: [4, 6, 1] as const },
  { name: 'vit', options: { patch: 3, dim: 4, depth: 1, heads: 1, expansion: 1 }, shape: [3, 6, 3] as const },
];

const networks = { mlp, conv, resnet, vit };

describe('encoders', () => {
  it('have the parameters of their definition', () => {
    expect(count('mlp', {}, [8, 8, 1])).toBe(64 * 256 + 256 * 2 + 256 * 256 + 256 * 2 + 256 * 128 + 128);
    // kernels of 3·3·1·32, 3·3·32·64 and 3·3·64·128, and a scale and an offset per filter
    expect(count('conv', {}, [28, 28, 1])).toBe(288 + 18432 + 73728 + 2 * (32 + 64 + 128));
    expect(count('conv', {}, [8, 8, 1])).toBe(count('conv', {}, [28, 28, 1]));
    // stem, then per block two kernels and, where the shape changes, a shortcut; a scale and an offset per filter of each
    const stages = [9 * 32 * 32 * 2, 9 * 32 * 64 + 9 * 64 * 64 + 32 * 64, 9 * 64 * 128 + 9 * 128 * 128 + 64 * 128];
    const filters = 32 + 2 * 32 + 3 * 64 + 3 * 128;
    expect(count('resnet', {}, [28, 28, 1])).toBe(9 * 32 + stages[0]! + stages[1]! + stages[2]! + 2 * filters);
    // torchvision's ResNet-18 has 11,689,512: a 7×7 stem of 9,408, here 1,728, and a classifier of 513,000
    expect(count('resnet', { depth: 18 }, [32, 32, 3])).toBe(11_689_512 - 9408 + 1728 - 513_000);
  });

  it('vit has the parameters of its definition', () => {
    const block = 3 * (96 * 96 + 96) + (96 * 96 + 96) + (96 * 192 + 192) + (192 * 96 + 96) + 2 * 2 * 96;
    expect(count('vit', {}, [28, 28, 1])).toBe(16 * 96 + 96 + 49 * 96 + 4 * block + 2 * 96);
  });

  it('are counted in README.md as they are', () => {
    const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
    const counts: readonly (readonly [string, object, ImageShape])[] = [
      ['mlp', {}, [8, 8, 1]],
      ['conv', {}, [28, 28, 1]],
      ['resnet', {}, [28, 28, 1]],
      ['resnet', { depth: 18 }, [32, 32, 3]],
      ['vit', {}, [28, 28, 1]],
    ];
    for (const [name, options, shape] of counts) {
      const row = readme.split('\n').find((line) => line.startsWith(`| \`${name}\` `));
      expect(row).toContain(count(name, options, shape).toLocaleString('en'));
    }
    for (const name of encoders.keys()) expect(readme).toContain(`| \`${name}\` `);
    for (const name of pretexts.keys()) expect(readme).toContain(`| \`${name}\` `);
  });

  it.each(cases)('$name $options: initial values have the shapes of the manifest, from the seed alone', (entry) => {
    const { name, options, shape } = entry;
    const spec = encoder(name).schema.parse({ name, ...options });
    const init = (seed: number) => encoder(name).init(stream(seed, 'init'), spec, shape);
    const shapes = Object.entries(init(1)).map(([key, array]) => [key, array.shape]);
    expect(shapes).toEqual(Object.entries(encoder(name).manifest(spec, shape)).map(([key, s]) => [key, s.shape]));
    expect(init(1)).toEqual(init(1));
    expect(init(1)).not.toEqual(init(2));
  });

  it('initial kernels have the deviation that keeps activations level', () => {
    const { data } = encoder('mlp').init(stream(5, 'init'), encoder('mlp').schema.parse({ name: 'mlp' }), [8, 8, 1])[
      'dense1/kernel'
    ]!;
    const variance = dot(data, data) / data.length;
    expect(Math.sqrt(variance)).toBeCloseTo(Math.sqrt(2 / 256), 3);
  });

  it('refuse what they cannot encode', () => {
    expect(() => count('conv', { strides: [1, 2, 2], filters: [8, 8, 8] }, [3, 3, 1])).toThrow(TacitError);
    expect(encoder('conv').schema.safeParse({ name: 'conv', groups: 7 }).success).toBe(false);
    expect(encoder('conv').schema.safeParse({ name: 'conv', strides: [1] }).success).toBe(false);
    expect(encoder('mlp').schema.safeParse({ name: 'mlp', width: 3 }).success).toBe(false);
    expect(() => count('resnet', {}, [3, 9, 1])).toThrow('an image of 3×9 cannot be reduced 4-fold');
    expect(() => count('resnet', { depth: 18 }, [7, 7, 1])).toThrow('8-fold');
    expect(encoder('resnet').schema.safeParse({ name: 'resnet', depth: 50 }).success).toBe(false);
    expect(encoder('resnet').schema.safeParse({ name: 'resnet', width: 12 }).success).toBe(false);
    expect(() => count('vit', {}, [28, 30, 1])).toThrow('not made of whole patches of 4×4');
    expect(encoder('vit').schema.safeParse({ name: 'vit', heads: 5 }).success).toBe(false);
  });
});

describe.each(BACKENDS)('encoders on %s', (backend) => {
  it.each(cases)('$name $options agrees with the naive network', async ({ name, options, shape }) => {
    const spec = encoder(name).schema.parse({ name, ...options });
    const rng = stream(4, name, JSON.stringify(options));
    const weights = Object.fromEntries(
      Object.entries(encoder(name).manifest(spec, shape)).map(([key, s]) => [key, randomArray(rng, s.shape, 0.5)]),
    );
    const images = randomArray(rng, [3, ...shape]);
    const nn = await loadBackend(backend, {});
    activate(nn.tf, backend);
    const before = nn.tf.memory().numTensors;
    const found = nn.tf.tidy(() => {
      const tensors = Object.fromEntries(
        Object.entries(weights).map(([key, { data, shape: dims }]) => [key, nn.tf.tensor(data, [...dims])]),
      );
      const z = encoder(name).apply(nn, tensors, nn.tf.tensor(images.data, [...images.shape]), spec);
      expect(z.shape).toEqual([3, encoder(name).dim(spec)]);
      return Float32Array.from(z.dataSync());
    });
    const expected = networks[name as keyof typeof networks](
      toImages(images),
      toNamedWeights(weights),
      options as never,
    );
    expect(deviation(found, expected.flat())).toBeLessThan(1e-5);
    expect(nn.tf.memory().numTensors).toBe(before);
  });
});
