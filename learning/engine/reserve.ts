/**
 * An engine with another one in reserve. What a browser grants is known only when it is used: a probe step may pass, and the memory or
 * the files of the real one be refused. The other engine then takes over, from the state that was set, and the reason is kept.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { Engine, Executable, Program } from './engine.ts';
import { engineOf } from './engine-of.ts';

/** What to change to. */
export interface Reserve {
  readonly engine: Engine;
  readonly reason: string;
}

export interface ReservedEngine extends Engine {
  /** What was changed to, and why; undefined while the first engine runs everything. */
  readonly taken: Reserve | undefined;
}

/** Faults of the program or its caller: they would be the same on any engine, and must be seen. */
const isOwnFault = (thrown: unknown): boolean =>
  thrown instanceof TacitError && (thrown.code === 'engine/unsupported' || thrown.code === 'weights/mismatch');

/** @param open the engine in reserve, made when it is first needed */
export function withReserve(first: Engine, open: () => Promise<Reserve>): ReservedEngine {
  let taken: Promise<Reserve> | undefined;
  let now: Reserve | undefined;

  const takeOver = async (thrown: unknown): Promise<Engine> => {
    if (isOwnFault(thrown)) throw thrown;
    taken ??= open().then(({ engine, reason }) => ({
      engine,
      reason: `${reason}; the compiled engine failed: ${(thrown as Error).message}`,
    }));
    now = await taken;
    return now.engine;
  };

  /** Until its first run has succeeded, an executable can be replaced by one that is given the same state. */
  const watched = (program: Program, executable: Executable): Executable => {
    let current = executable;
    let given: NamedArrays | undefined = {};
    const replace = async (thrown: unknown): Promise<void> => {
      const state = given;
      if (!state) throw thrown;
      const next = await (await takeOver(thrown)).load(program);
      given = undefined;
      current.dispose();
      current = next;
      await next.set(state);
    };
    return {
      set: async (values) => {
        await current.set(values);
        if (given) given = { ...given, ...values };
      },
      run: async (feeds) => {
        try {
          const results = await current.run(feeds);
          given = undefined;
          return results;
        } catch (thrown) {
          await replace(thrown);
          return current.run(feeds);
        }
      },
      get: (names) => current.get(names),
      dispose: () => current.dispose(),
    };
  };

  const make = async (program: Program): Promise<Executable> => {
    if (now) return now.engine.load(program);
    try {
      return watched(program, await first.load(program));
    } catch (thrown) {
      return (await takeOver(thrown)).load(program);
    }
  };
  const engine = engineOf(first.name, make, async () => {
    await first.close();
    const reserve = await taken?.catch(() => undefined); // one that could not be opened holds nothing
    await reserve?.engine.close();
  });
  return {
    ...engine,
    get name() {
      return now?.engine.name ?? first.name;
    },
    get taken() {
      return now;
    },
  };
}
