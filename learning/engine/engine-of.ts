/** What every engine does with the executables that it gave out: they are freed when they are disposed of, or with the engine. */
import type { Engine, Executable, Program } from './engine.ts';

/** An engine from how it makes an executable, and what is to be freed after the last one. */
export function engineOf(
  name: string,
  make: (program: Program) => Executable | Promise<Executable>,
  release: () => Promise<void> = async () => {},
): Engine {
  const loaded = new Set<Executable>();
  return {
    name,
    load: async (program) => {
      const made = await make(program);
      loaded.add(made);
      const dispose = (): void => {
        loaded.delete(made);
        made.dispose();
      };
      return { ...made, dispose };
    },
    close: async () => {
      for (const made of loaded) made.dispose();
      loaded.clear();
      await release();
    },
  };
}
