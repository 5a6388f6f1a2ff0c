/** Ctrl-C and SIGTERM in the middle of everything: the documented status, and never an abort of the process. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../protocol/errors.ts';
import { buildOnce, endAll, type Running, start } from './cli.ts';

let dir: string;
const at = (name: string): string => join(dir, name);
beforeAll(() => {
  buildOnce();
  dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));
});
afterAll(() => {
  endAll();
  rmSync(dir, { recursive: true, force: true });
});

async function stop(command: Running, signal: 'SIGINT' | 'SIGTERM'): Promise<string> {
  command.child.kill(signal);
  const outcome = await command.ended;
  expect(outcome.signal).toBeNull();
  expect(outcome.status).toBe(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
  expect(outcome.stderr).not.toMatch(/error \[|Napi|abort|^\s+at /im);
  return outcome.stdout;
}

const LONG = ['rounds=1000', 'steps=20', 'cohort=2', 'strategy={name: fedavg}', 'privacy=sealed'].flatMap((s) => [
  '--set',
  s,
]);

describe('in the middle of training steps', { timeout: 120_000 }, () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('simulate, %s', async (signal) => {
    const command = start(['simulate', '--out', at(`simulate-${signal}`), '--json', ...LONG]);
    await command.until(/round 1\/1000/);
    expect(await stop(command, signal)).toBe('');
  });

  test('start, SIGINT', async () => {
    const command = start(['start', '--out', at('start'), '--json', ...LONG]);
    await command.until(/round 1\/1000/);
    expect(await stop(command, 'SIGINT')).toBe('');
  });

  test('serve and join, SIGTERM and SIGINT', async () => {
    const server = start([
      'serve',
      '--plan',
      'digits',
      '--port',
      '0',
      '--out',
      at('serve'),
      '--set',
      'rounds.minReports=1',
      '--set',
      'rounds.recruitMs=1000',
      ...LONG,
    ]);
    const url = /http:\S+#srv=[\w-]{43}/.exec(await server.until(/#srv=[\w-]{43}/))![0];
    const participant = start(['join', url, '--data', 'digits']);
    await participant.until(/round 1 committed/);
    await stop(participant, 'SIGINT');
    await stop(server, 'SIGTERM');
  });
});

test('npm start, SIGTERM to npm alone: nothing goes on behind its back', { timeout: 120_000 }, async () => {
  // as npm does it: a shell that is no more than the parent of `tacit`
  const shell = `"${process.execPath}" dist/cli/tacit.js start --out "${at('npm')}" ${LONG.map((word) => `'${word}'`).join(' ')}; exit $?`;
  const command = start(['-c', shell], { program: '/bin/sh', env: { npm_lifecycle_event: 'start' } });
  await command.until(/round 1\/1000/);
  command.child.kill('SIGTERM');
  const { signal, stderr } = await command.ended; // once nobody has its pipes open any more
  expect(signal).toBe('SIGTERM');
  expect(stderr).toContain('SIGTERM: stopping');
});

test('before anything has begun', async () => {
  const command = start(['serve', '--plan', 'digits', '--port', '0', '--out', at('early')]);
  await command.until(/waiting for participants/);
  await stop(command, 'SIGINT');
});

/** Two seconds are promised; here other tests take their share of the machine. Whoever waits for the step waits for minutes. */
const TOO_LONG_MS = 5000;

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('in a native step that takes minutes', { timeout: 60_000 }, () => {
  const fixture = fileURLToPath(new URL('fixtures/endless-step.mjs', import.meta.url));
  const inside = async () => {
    const command = start([], { script: fixture });
    const pid = Number(/inside (\d+)/.exec(await command.until(/inside \d+/))![1]);
    return { command, pid, before: performance.now() };
  };

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends both processes with its status, without waiting',
    async (signal) => {
      const { command, pid, before } = await inside();
      expect(await stop(command, signal)).not.toContain('outside');
      expect(performance.now() - before).toBeLessThan(TOO_LONG_MS);
      expect(isAlive(pid)).toBe(false);
    },
  );

  test('a supervisor that is killed before its command runs leaves none behind', async () => {
    const command = start(['simulate', '--out', at('orphan'), ...LONG]);
    await pause(100);
    command.child.kill('SIGKILL');
    const ended = await Promise.race([command.ended, pause(30_000)]); // whoever has its pipes open still runs
    expect(ended).toMatchObject({ signal: 'SIGKILL' });
  });

  test('a supervisor that is killed takes its command with it', async () => {
    const { command } = await inside();
    command.child.kill('SIGKILL');
    expect((await command.ended).signal).toBe('SIGKILL'); // reported once nobody holds its pipes open any more
  });

  test('a command that dies by itself is explained', async () => {
    const { command, pid } = await inside();
    process.kill(pid, 'SIGKILL');
    const { status, stderr } = await command.ended;
    expect(status).toBe(EXIT.run);
    expect(stderr).toContain('ended by SIGKILL');
  });
});

/** A step of many seconds: residual network of depth 18, 512 views. */
const BIG = {
  version: 1,
  task: 'big',
  data: { shape: [32, 32, 1], resize: 'cover' },
  encoder: { name: 'resnet', depth: 18 },
  pretext: { name: 'simclr' },
  augmentation: { name: 'image' },
  training: { steps: 100, batch: 256, optimiser: { name: 'sgd', learningRate: 0.01 } },
  rounds: { count: 10, cohort: 2, minReports: 1, overSelection: 1, recruitMs: 1000, trainMs: 600_000 },
  strategy: { name: 'fedavg' },
  privacy: { mode: 'sealed', clipNorm: 100 },
};

describe('in a compiled step that takes many seconds', { timeout: 120_000 }, () => {
  const planFile = (): string => {
    writeFileSync(at('big.json'), JSON.stringify(BIG));
    return at('big.json');
  };
  /** Into the trace, the making of the session, or the first step, as fast as the machine is. */
  const IN_IT_MS = 6000;
  const stopInStep = async (command: Running, ready: RegExp, signal: 'SIGINT' | 'SIGTERM'): Promise<void> => {
    await command.until(ready);
    await pause(IN_IT_MS);
    const before = performance.now();
    await stop(command, signal);
    expect(performance.now() - before).toBeLessThan(TOO_LONG_MS);
  };

  test.each([
    ['simulate', 'SIGTERM'],
    ['start', 'SIGINT'],
  ] as const)('%s, %s', async (name, signal) => {
    const command = start([name, '--plan', planFile(), '--engine', 'compiled', '--out', at(`big-${name}`)]);
    await stopInStep(command, /engine compiled/, signal);
  });

  test('join, SIGTERM', async () => {
    const server = start(['serve', '--plan', planFile(), '--port', '0', '--out', at('big-serve')]);
    const url = /http:\S+#srv=[\w-]{43}/.exec(await server.until(/#srv=[\w-]{43}/))![0];
    const command = start(['join', url, '--data', 'digits', '--engine', 'compiled']);
    await stopInStep(command, /task big/, 'SIGTERM');
    await stop(server, 'SIGINT');
  });
});
