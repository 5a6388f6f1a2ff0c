/** Ctrl-C and SIGTERM in the middle of everything: the documented status, and never an abort of the process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

const LONG = ['rounds=1000', 'steps=20', 'cohort=2'].flatMap((s) => ['--set', s]);

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

test('before anything has begun', async () => {
  const command = start(['serve', '--plan', 'digits', '--port', '0', '--out', at('early')]);
  await command.until(/waiting for participants/);
  await stop(command, 'SIGINT');
});
