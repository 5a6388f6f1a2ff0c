/** A slot on the calling thread, for tests, for debugging and where threads are not to be had. It gives others a turn. */
import { breather, controlOf, controlWords, guardOf } from './control.ts';
import { createRunner, type RunnerOptions } from './runner.ts';
import type { Slot } from './scheduler.ts';

const BREATHE_MS = 20;

export async function localSlot(options: Omit<RunnerOptions, 'guard'>): Promise<Slot> {
  const words = controlWords();
  const control = controlOf(words);
  const runner = await createRunner({ ...options, guard: guardOf(words, breather(BREATHE_MS)) });
  let running: Promise<unknown> = Promise.resolve();
  return {
    get engine() {
      return runner.engine;
    },
    get reason() {
      return runner.reason;
    },
    alive: true,
    run: (name, input, onProgress) => {
      control.reset();
      const output = runner.run(name, structuredClone(input), onProgress); // as a thread would get it
      running = output.catch(() => {});
      return output;
    },
    cancel: control.cancel,
    close: async () => {
      control.stop();
      await running;
      await runner.close();
    },
  };
}
