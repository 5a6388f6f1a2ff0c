/** Checks and copies of named arrays, shared by the jobs. */
import { TacitError } from '../../protocol/errors.ts';
import type { NamedArrays, NamedSpecs, NDArray } from '../../protocol/tensors.ts';

/** The arrays that `specs` names, each of its shape; others are left out. @throws TacitError weights/mismatch */
export function pick(arrays: NamedArrays, specs: NamedSpecs, whose: string): NamedArrays {
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape, dtype }]) => {
      const found = arrays[name];
      if (!found) throw new TacitError('weights/mismatch', `${whose} lacks "${name}"`, { where: name });
      if (found.dtype !== dtype || found.shape.join() !== shape.join()) {
        const [is, wanted] = [`${found.dtype} [${found.shape}]`, `${dtype} [${shape}]`];
        throw new TacitError('weights/mismatch', `${whose}: "${name}" is ${is}, not ${wanted}`, { where: name });
      }
      return [name, found];
    }),
  );
}

/** Whether every number of every array is finite. */
export const allFinite = (arrays: readonly NDArray['data'][]): boolean =>
  arrays.every((data) => {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return false;
    return true;
  });
