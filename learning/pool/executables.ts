/** Programs made ready, kept between jobs: compiled once per plan, not per round. The longest unused are freed. */
import type { Engine, Executable, Program } from '../engine/engine.ts';
import type { Guard } from './control.ts';

export interface Executables {
  load(program: Program): Promise<Executable>;
  /** Frees all but the `kept` used last; between jobs only. */
  trim(kept: number): void;
  readonly size: number;
}

/** Every call into the engine goes through the guard; freeing is safe at any time. */
const guarded = (executable: Executable, guard: Guard): Executable => ({
  set: (values) => guard.inside(() => executable.set(values)),
  run: (feeds) => guard.inside(() => executable.run(feeds)),
  get: (names) => guard.inside(() => executable.get(names)),
  dispose: () => executable.dispose(),
});

export function createExecutables(engine: Engine, guard: Guard): Executables {
  const held = new Map<string, Executable>();
  return {
    load: async (program) => {
      const key = JSON.stringify([program.name, program.inputs]);
      const known = held.get(key);
      held.delete(key);
      const executable = known ?? guarded(await guard.inside(() => engine.load(program)), guard);
      held.set(key, executable);
      return executable;
    },
    trim: (kept) => {
      for (const [key, executable] of held) {
        if (held.size <= kept) return;
        held.delete(key);
        executable.dispose();
      }
    },
    get size() {
      return held.size;
    },
  };
}
