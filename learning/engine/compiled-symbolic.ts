/** A program with a symbolic batch as executables of fixed size: one per size that is met, what is held given to each. */
import { TacitError } from '../../protocol/errors.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import { withBatch } from './compile.ts';
import type { Executable, Program } from './engine.ts';

/** Whether the program takes any batch. */
export const isSymbolic = (program: Program): boolean =>
  Object.values(program.inputs).some(({ shape }) => shape.includes(-1));

/** @param load makes the executable of the program with its batch fixed */
export function symbolicExecutable(program: Program, load: (sized: Program) => Promise<Executable>): Executable {
  const bySize = new Map<number, Promise<Executable>>();
  const held = new Map<string, NamedArrays[string]>();
  const sized = async (batch: number): Promise<Executable> => {
    const executable = await load(withBatch(program, batch));
    await executable.set(Object.fromEntries(held));
    return executable;
  };
  return {
    set: async (values) => {
      for (const [name, array] of Object.entries(values)) held.set(name, { ...array, data: array.data.slice() });
      for (const executable of bySize.values()) await (await executable).set(values);
    },
    run: async (feeds) => {
      const name = Object.keys(program.inputs).find((key) => program.inputs[key]!.shape[0] === -1);
      const batch = name === undefined ? undefined : feeds[name]?.shape[0];
      if (batch === undefined)
        throw new TacitError('weights/mismatch', `${program.name}: "${name}" is missing`, { where: name ?? '' });
      const executable = bySize.get(batch) ?? sized(batch);
      bySize.set(batch, executable);
      return (await executable).run(feeds);
    },
    get: async (names) =>
      Object.fromEntries(
        names.map((name) => {
          const array = held.get(name);
          if (!array)
            throw new TacitError('weights/mismatch', `${program.name}: "${name}" is not held`, { where: name });
          return [name, { ...array, data: array.data.slice() }];
        }),
      ),
    dispose: () => {
      for (const executable of bySize.values()) void executable.then((e) => e.dispose());
      bySize.clear();
      held.clear();
    },
  };
}
