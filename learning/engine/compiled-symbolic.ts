/**
 * A program with a symbolic batch (the first axis of some inputs) as executables of fixed size: one per size that is met, what is held
 * given to each. Such programs carry nothing from run to run.
 */
import type { NamedArrays } from '../../protocol/tensors.ts';
import { withBatch } from './compile.ts';
import type { Executable, Program } from './engine.ts';
import { mismatch } from './program-inputs.ts';

/** An input that has the batch as its first axis, if the program takes any. */
const batched = ({ inputs }: Program): string | undefined =>
  Object.keys(inputs).find((name) => inputs[name]!.shape[0] === -1);

/** Whether the program takes any batch. */
export const isSymbolic = (program: Program): boolean => batched(program) !== undefined;

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
      const name = batched(program)!;
      const batch = feeds[name]?.shape[0];
      if (batch === undefined) throw mismatch(program, name, 'is missing');
      const executable = bySize.get(batch) ?? sized(batch);
      bySize.set(batch, executable);
      executable.catch(() => bySize.delete(batch));
      return (await executable).run(feeds);
    },
    get: async (names) =>
      Object.fromEntries(
        names.map((name) => {
          const array = held.get(name);
          if (!array) throw mismatch(program, name, 'is not held');
          return [name, { ...array, data: array.data.slice() }];
        }),
      ),
    dispose: () => {
      for (const executable of bySize.values()) void executable.then((e) => e.dispose()).catch(() => {});
      bySize.clear();
      held.clear();
    },
  };
}
