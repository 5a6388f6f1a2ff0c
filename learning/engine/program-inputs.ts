/** The check of what a program is fed, the same on every engine. */
import { TacitError } from '../../protocol/errors.ts';
import type { NDArray } from '../../protocol/tensors.ts';
import type { Program } from './engine.ts';

/** What is wrong with the input `name`, as an error: `train: "x" is missing`. */
export const mismatch = ({ name: program }: Program, name: string, fault: string): TacitError =>
  new TacitError('weights/mismatch', `${program}: "${name}" ${fault}`, { where: name });

/** @throws TacitError weights/mismatch unless the array is an input as the program specifies it; a first −1 there takes any batch */
export function checkInput(program: Program, name: string, { shape, dtype }: NDArray): void {
  const spec = program.inputs[name];
  if (!spec) throw mismatch(program, name, 'is not one of its inputs');
  const fits = spec.shape.every((size, i) => size === shape[i] || (i === 0 && size === -1));
  if (fits && shape.length === spec.shape.length && dtype === spec.dtype) return;
  throw mismatch(program, name, `is ${dtype} [${shape}], not ${spec.dtype} [${spec.shape}]`);
}
