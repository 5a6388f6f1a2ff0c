import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { controlOf, controlWords, guardOf } from '../../../../learning/pool/control.ts';
import { createExecutables } from '../../../../learning/pool/executables.ts';
import { errorData, errorFrom, ownedBuffers } from '../../../../learning/pool/messages.ts';
import { createScheduler, type Slot, type TrainingPool } from '../../../../learning/pool/scheduler.ts';
import { TacitError } from '../../../../protocol/errors.ts';

/** Jobs of these tests are numbers of milliseconds, or 'crash'; a scheduler looks at no name and no input. */
interface Log {
  readonly started: unknown[];
  running: number;
  most: number;
  opened: number;
  closed: number;
}

function fakeSlot(log: Log): Slot {
  let alive = true;
  let stop: (() => void) | undefined;
  log.opened++;
  return {
    engine: 'fake',
    reason: 'test',
    get alive() {
      return alive;
    },
    run: async (name, input) => {
      log.started.push(input);
      log.most = Math.max(log.most, ++log.running);
      try {
        if (name === 'crash') {
          alive = false;
          throw new TacitError('train/failed', 'broke down');
        }
        const stopped = new Promise<never>((_, reject) => {
          stop = () => reject(new TacitError('train/cancelled', 'stopped'));
        });
        return await Promise.race([delay(5, input), stopped]);
      } finally {
        log.running--;
      }
    },
    cancel: () => stop?.(),
    close: async () => {
      stop?.();
      log.closed++;
    },
  };
}

async function fakePool(size: number) {
  const log: Log = { started: [], running: 0, most: 0, opened: 0, closed: 0 };
  const pool = await createScheduler(async () => fakeSlot(log), size);
  const run = pool.run as unknown as (
    name: string,
    input: unknown,
    options?: Parameters<TrainingPool['run']>[2],
  ) => Promise<unknown>;
  return { pool, run, log };
}

describe('scheduler', () => {
  it('starts jobs in the order in which they came, at most one on each slot', async () => {
    const { run, log, pool } = await fakePool(3);
    const inputs = Array.from({ length: 20 }, (_, i) => i);
    expect(await Promise.all(inputs.map((i) => run('job', i)))).toEqual(inputs);
    expect(log.started).toEqual(inputs);
    expect(log.most).toBe(3);
    await pool.close();
  });

  it('a job put in by the end of another waits behind those that wait', async () => {
    const { run, log } = await fakePool(1);
    const late = run('job', 'a').then(() => run('job', 'late'));
    await Promise.all([late, run('job', 'b'), run('job', 'c')]);
    expect(log.started).toEqual(['a', 'b', 'c', 'late']);
  });

  it('takes an aborted job out of the queue, and stops one that runs', async () => {
    const { run, log } = await fakePool(1);
    const waiting = new AbortController();
    const running = new AbortController();
    const first = run('job', 'runs', { signal: running.signal });
    const second = run('job', 'waits', { signal: waiting.signal });
    const third = run('job', 'after');
    waiting.abort(new Error('no longer wanted'));
    await expect(second).rejects.toMatchObject({ code: 'train/cancelled' });
    running.abort();
    await expect(first).rejects.toMatchObject({ code: 'train/cancelled' });
    expect(await third).toBe('after');
    expect(log.started).toEqual(['runs', 'after']);
    await expect(run('job', 'x', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'train/cancelled' });
  });

  it('fails the job of a slot that breaks down, and replaces the slot', async () => {
    const { run, log, pool } = await fakePool(1);
    const crashed = run('crash', 1);
    const next = run('job', 2);
    await expect(crashed).rejects.toMatchObject({ code: 'train/failed' });
    expect(await next).toBe(2);
    expect(log.opened).toBe(2);
    await pool.close();
    expect(log.closed).toBe(1);
  });

  it('when no slot can be had any more, waiting jobs fail, and a later one tries again', async () => {
    const log: Log = { started: [], running: 0, most: 0, opened: 0, closed: 0 };
    let possible = true;
    const pool = await createScheduler(async () => {
      if (!possible) throw new TacitError('engine/unavailable', 'gone');
      return fakeSlot(log);
    }, 1);
    const run = pool.run as unknown as (name: string, input: unknown) => Promise<unknown>;
    possible = false;
    const crashed = run('crash', 1);
    const waiting = run('job', 2);
    await expect(crashed).rejects.toMatchObject({ code: 'train/failed' });
    await expect(waiting).rejects.toMatchObject({ code: 'engine/unavailable' });
    await expect(run('job', 3)).rejects.toMatchObject({ code: 'engine/unavailable' });
    possible = true;
    expect(await run('job', 4)).toBe(4);
  });

  it('closing ends what runs, rejects what waits and what comes after', async () => {
    const { run, log, pool } = await fakePool(2);
    const jobs = Array.from({ length: 5 }, (_, i) => run('job', i));
    const ends = Promise.allSettled(jobs);
    await Promise.all([pool.close(), pool.close()]);
    for (const end of await ends) expect(end).toMatchObject({ reason: { code: 'train/cancelled' } });
    expect(log.started).toEqual([0, 1]);
    expect(log.closed).toBeGreaterThanOrEqual(2);
    await expect(run('job', 9)).rejects.toMatchObject({ code: 'train/cancelled' });
  });

  it('closes the other slots when one cannot be opened', async () => {
    const log: Log = { started: [], running: 0, most: 0, opened: 0, closed: 0 };
    let count = 0;
    const opening = createScheduler(async () => {
      if (++count === 2) throw new TacitError('engine/unavailable', 'no more');
      return fakeSlot(log);
    }, 3);
    await expect(opening).rejects.toMatchObject({ code: 'engine/unavailable' });
    expect([log.opened, log.closed]).toEqual([2, 2]);
  });
});

describe('control', () => {
  it('a stopped guard lets nothing into the engine, and says when it is outside', async () => {
    const words = controlWords();
    const [control, guard] = [controlOf(words), guardOf(words)];
    let finish = (): void => {};
    const inside = guard.inside(
      () =>
        new Promise<number>((resolve) => {
          finish = () => resolve(1);
        }),
    );
    expect(control.inside()).toBe(true);
    expect(control.waitOutside(1)).toBe(false);
    control.stop();
    finish();
    expect(await inside).toBe(1);
    expect(control.inside()).toBe(false);
    let entered = false;
    const refused = guard.inside(async () => {
      entered = true;
    });
    await expect(refused).rejects.toMatchObject({ code: 'train/cancelled' });
    expect([entered, control.inside()]).toEqual([false, false]);
  });

  it('cancelling holds for one job only', () => {
    const words = controlWords();
    const [control, guard] = [controlOf(words), guardOf(words)];
    control.cancel();
    expect(() => guard.check()).toThrow(/stopped/);
    control.reset();
    expect(() => guard.check()).not.toThrow();
    control.stop();
    control.reset();
    expect(() => guard.check()).toThrow(/stopped/);
  });
});

describe('executables', () => {
  const engine = () => {
    const events: string[] = [];
    return {
      events,
      name: 'fake',
      load: async ({ name }: { name: string }) => {
        events.push(`load ${name}`);
        return {
          set: async () => {},
          run: async () => ({}),
          get: async () => ({}),
          dispose: () => events.push(`free ${name}`),
        };
      },
      close: async () => {},
    };
  };
  const program = (name: string, size = 1) => ({
    name,
    inputs: { x: { shape: [size], dtype: 'float32' as const } },
    run: () => ({}),
  });

  it('loads a program once for each name and shapes, and frees what was not used for longest', async () => {
    const fake = engine();
    const executables = createExecutables(fake, guardOf(controlWords()));
    const a = await executables.load(program('a'));
    expect(await executables.load(program('a'))).toBe(a);
    await executables.load(program('a', 2));
    await executables.load(program('b'));
    await executables.load(program('a'));
    executables.trim(2);
    expect(fake.events).toEqual(['load a', 'load a', 'load b', 'free a']);
    expect(executables.size).toBe(2);
    expect(await executables.load(program('a'))).toBe(a);
  });
});

describe('messages', () => {
  it('an error keeps its code, where and hint; a stranger becomes train/failed', () => {
    const error = new TacitError('data/unreadable', 'damaged', { where: 'a.png', hint: 'look' });
    expect(errorFrom(structuredClone(errorData(error)))).toMatchObject({
      code: 'data/unreadable',
      message: 'damaged',
      where: 'a.png',
      hint: 'look',
    });
    expect(errorFrom(errorData(new RangeError('odd')))).toMatchObject({ code: 'train/failed', message: 'odd' });
    expect(errorFrom(errorData('text'))).toMatchObject({ code: 'train/failed', message: 'text' });
  });

  it('moves whole buffers once, and neither views of a part nor shared memory', () => {
    const whole = new Float32Array(4);
    const part = new Float32Array(8).subarray(2, 4);
    const shared = new Float32Array(new SharedArrayBuffer(8));
    expect(ownedBuffers({ a: whole, deep: [{ again: whole }, part, shared, null, 'text', 3] })).toEqual([whole.buffer]);
  });
});
