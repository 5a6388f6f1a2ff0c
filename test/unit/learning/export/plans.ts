/** A small plan for each encoder that is registered, with the weights of an exported classifier. */
import { headSpecs } from '../../../../learning/fine-tuning.ts';
import { modelOf } from '../../../../learning/model.ts';
import { encoders } from '../../../../learning/registry.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NamedArrays, type NDArray, sizeOf } from '../../../../protocol/tensors.ts';
import { planOf } from '../plans.ts';

/** Options that make an encoder small; one that is not listed is taken as it comes. */
const SMALL: Readonly<Record<string, object>> = {
  mlp: { hidden: [12], dim: 6 },
  conv: { filters: [4, 6], strides: [1, 2], groups: 2 },
  resnet: { depth: 8, width: 8, groups: 4 },
  'resnet-18': { name: 'resnet', depth: 18, width: 4, groups: 2 },
};

export const CLASSES = ['cat', 'dog', 'owl'] as const;

/** Every encoder that is registered, and the other depth of one. */
export const ENCODER_NAMES = [...encoders.keys(), 'resnet-18'];

/** Colour images with a normalisation for each channel. */
export const planFor = (encoder: string, changes: object = {}): Plan =>
  planOf({
    ...changes,
    data: { shape: [16, 16, 3], normalisation: { mean: [0.3, 0.4, 0.5], std: [0.2, 0.3, 0.4] } },
    encoder: { name: encoder, ...SMALL[encoder] },
  });

/** Seeded numbers, uniform in [0, 1) for images and normal for weights. */
export function numbers(shape: readonly number[], name: string, kind: 'uniform' | 'normal'): NDArray {
  const rng = stream(1, name);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => (kind === 'uniform' ? rng.next() : 0.3 * rng.normal())),
  );
}

/** Weights that are not as they start, so that an offset left out is noticed. */
export function weightsFor(plan: Plan): NamedArrays {
  const start = modelOf(plan).init(3);
  const specs = { ...modelOf(plan).encoderSpecs, ...headSpecs(plan, CLASSES.length) };
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => {
      const moved = numbers(shape, name, 'normal');
      const base = start[name];
      return [
        name,
        base
          ? float32(
              shape,
              Float32Array.from(base.data, (x, i) => x + 0.3 * moved.data[i]!),
            )
          : moved,
      ];
    }),
  );
}

export const imagesFor = (plan: Plan, batch: number): NDArray =>
  numbers([batch, ...plan.data.shape], `images ${batch}`, 'uniform');
