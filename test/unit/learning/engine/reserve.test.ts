/** An engine with another in reserve: what fails for real goes on elsewhere with the same state, and says why; other faults are seen. */
import { describe, expect, it } from 'vitest';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import type { Engine, Executable, Program } from '../../../../learning/engine/engine.ts';
import { type ReservedEngine, withReserve } from '../../../../learning/engine/reserve.ts';
import { TacitError } from '../../../../protocol/errors.ts';
import { scalar } from '../../../../protocol/tensors.ts';

const counter = (name: string): Program => ({
  name,
  inputs: { total: { shape: [], dtype: 'float32' }, x: { shape: [], dtype: 'float32' } },
  run: ({ tf }, { total, x }) => ({ total: tf.add(total!, x!), twice: tf.mul(x!, 2) }),
});

interface Scene {
  readonly engine: ReservedEngine;
  /** Engines that were closed. */
  readonly closed: string[];
  opened: number;
}

/** An engine whose executables are spoilt, over another that is not. */
async function scene(spoil: (executable: Executable, run: () => number) => Partial<Executable>): Promise<Scene> {
  const base = await eagerEngine('cpu');
  let runs = 0;
  const first: Engine = {
    name: 'compiled:test',
    load: async (program) => {
      const executable = await base.load(program);
      return { ...executable, ...spoil(executable, () => ++runs) };
    },
    close: async () => {
      made.closed.push('first');
      await base.close();
    },
  };
  const open = async () => {
    made.opened += 1;
    const reserve = await eagerEngine('cpu');
    const close = async (): Promise<void> => {
      made.closed.push('reserve');
      await reserve.close();
    };
    return { engine: { ...reserve, close }, reason: 'op by op' };
  };
  const made: Scene = { engine: withReserve(first, open), closed: [], opened: 0 };
  return made;
}

const noMemory = async (): Promise<never> => {
  throw new RangeError('no memory left');
};

describe('an engine in reserve', () => {
  it('is not made while all goes well', async () => {
    const { engine, ...rest } = await scene(() => ({}));
    const step = await engine.load(counter('a'));
    await step.set({ total: scalar(1) });
    await step.run({ x: scalar(2) });
    expect((await step.get(['total'])).total!.data[0]).toBe(3);
    expect([engine.name, engine.taken, rest.opened]).toEqual(['compiled:test', undefined, 0]);
    await engine.close();
    expect(rest.closed).toEqual(['first']);
  });

  it('takes over when the first run fails, from the state that was set, and for all that is loaded later', async () => {
    const made = await scene(() => ({ run: noMemory }));
    const { engine } = made;
    const step = await engine.load(counter('a'));
    await step.set({ total: scalar(1) });
    await step.set({ total: scalar(10) });
    expect((await step.run({ x: scalar(2) })).twice!.data[0]).toBe(4);
    await step.run({ x: scalar(3) });
    expect((await step.get(['total'])).total!.data[0]).toBe(15);
    expect(engine.name).toBe('eager:cpu');
    expect(engine.taken!.reason).toBe('op by op; the compiled engine failed: no memory left');
    const later = await engine.load(counter('b'));
    await later.set({ total: scalar(0) });
    await later.run({ x: scalar(1) });
    expect(made.opened).toBe(1);
    await engine.close();
    expect(made.closed).toEqual(['first', 'reserve']);
  });

  it('takes over when a program cannot be loaded', async () => {
    const base = await eagerEngine('cpu');
    const engine = withReserve({ name: 'compiled:test', load: noMemory, close: base.close }, async () => ({
      engine: await eagerEngine('cpu'),
      reason: 'op by op',
    }));
    const step = await engine.load(counter('a'));
    await step.set({ total: scalar(1) });
    expect((await step.run({ x: scalar(2) })).twice!.data[0]).toBe(4);
    expect(engine.taken!.reason).toContain('no memory left');
    await engine.close();
  });

  it('closes when the reserve could not be had either', async () => {
    const base = await eagerEngine('cpu');
    const engine = withReserve({ name: 'compiled:test', load: noMemory, close: base.close }, async () => {
      throw new TacitError('engine/unavailable', 'nor this');
    });
    await expect(engine.load(counter('a'))).rejects.toThrow('nor this');
    await expect(engine.close()).resolves.toBeUndefined();
  });

  it('does not hide a failure after steps that went well: their state is gone', async () => {
    const { engine } = await scene((executable, run) => ({
      run: (feeds) => (run() === 1 ? executable.run(feeds) : noMemory()),
    }));
    const step = await engine.load(counter('a'));
    await step.set({ total: scalar(1) });
    await step.run({ x: scalar(2) });
    await expect(step.run({ x: scalar(2) })).rejects.toThrow('no memory left');
    expect(engine.taken).toBeUndefined();
    await engine.close();
  });

  it.each(['engine/unsupported', 'weights/mismatch'] as const)(
    'leaves %s to whoever wrote the program',
    async (code) => {
      const { engine, ...rest } = await scene(() => ({
        run: async () => {
          throw new TacitError(code, 'your fault');
        },
      }));
      const step = await engine.load(counter('a'));
      await step.set({ total: scalar(1) });
      await expect(step.run({ x: scalar(2) })).rejects.toMatchObject({ code });
      expect(rest.opened).toBe(0);
      await engine.close();
    },
  );
});
