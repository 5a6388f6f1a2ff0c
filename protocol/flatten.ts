/** Named parameters as one vector and back, in manifest order: the order of the names in the specs. */
import { TacitError } from './errors.ts';
import { type NamedArrays, type NamedSpecs, sizeOf } from './tensors.ts';

/** Number of values that the specs describe. */
export const dimensionOf = (specs: NamedSpecs): number =>
  Object.values(specs).reduce((n, { shape }) => n + sizeOf(shape), 0);

/** The values of `arrays` one after the other, each row-major. @throws TacitError weights/mismatch */
export function flatten(arrays: NamedArrays, specs: NamedSpecs): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(dimensionOf(specs));
  let at = 0;
  for (const [name, { shape }] of Object.entries(specs)) {
    const array = Object.hasOwn(arrays, name) ? arrays[name] : undefined;
    if (!array || array.data.length !== sizeOf(shape)) {
      throw new TacitError('weights/mismatch', `${name} is missing or not of shape [${shape}]`, { where: name });
    }
    flat.set(array.data, at);
    at += array.data.length;
  }
  return flat;
}

/** Arrays with the shapes of the specs; copies, float32. @throws TacitError weights/mismatch if the length differs */
export function unflatten(flat: Float32Array, specs: NamedSpecs): NamedArrays {
  if (flat.length !== dimensionOf(specs)) {
    throw new TacitError('weights/mismatch', `${flat.length} values for ${dimensionOf(specs)} parameters`);
  }
  let at = 0;
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => {
      const data = flat.slice(at, at + sizeOf(shape));
      at += data.length;
      return [name, { shape, dtype: 'float32' as const, data }];
    }),
  );
}
