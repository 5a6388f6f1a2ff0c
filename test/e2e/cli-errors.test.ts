/** Bad input: a clear message with its place and what to try, the documented exit status, and never a stack. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { encode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../protocol/errors.ts';
import { buildOnce, type Outcome, root, tacit } from './cli.ts';

let dir: string;
const at = (...names: string[]): string => join(dir, ...names);

beforeAll(() => {
  buildOnce();
  dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));
  const png = encode({ width: 9, height: 8, data: new Uint8Array(72), channels: 1 });
  mkdirSync(at('pictures'));
  for (let i = 0; i < 3; i++) writeFileSync(at('pictures', `${i}.png`), png);
  writeFileSync(at('a-file'), 'x');
  const digits = join(root, 'data', 'digits');
  mkdirSync(at('truncated'));
  const name = 'train-images-idx3-ubyte';
  writeFileSync(at('truncated', name), gunzipSync(readFileSync(join(digits, `${name}.gz`))));
  truncateSync(at('truncated', name), 5000);
  cpSync(join(digits, 'test-images-idx3-ubyte.gz'), at('cut-idx3-ubyte.gz'));
  truncateSync(at('cut-idx3-ubyte.gz'), 2000);
  const plan = readFileSync(join(root, 'plans', 'digits.yaml'), 'utf8');
  const variant = (file: string, from: string | RegExp, to: string): void => {
    expect(plan).toMatch(from);
    writeFileSync(at(file), plan.replace(from, to));
  };
  variant('misspelt.yaml', 'cohort: 10', 'chort: 10');
  variant('misplaced.yaml', 'task: digits', 'task: digits\nsteps: 5');
  variant('wrong-type.yaml', /count: \d+/, 'count: many');
  variant('encoder.yaml', 'name: conv', 'name: cnov');
  variant('pretext.yaml', 'name: spectral', 'name: spectra');
  variant('strategy.yaml', /strategy: .*/, 'strategy: { name: fedavg2 }');
  variant('option.yaml', 'filters: [', 'filtrs: [');
  variant('broken.yaml', 'rounds:\n', 'rounds: [\n');
  writeFileSync(at('list.yaml'), '- 1\n- 2\n');
  writeFileSync(at('plan.json'), '{"version": 1,\n "task": "x"');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function expectError(outcome: Outcome, code: string, status: number, ...texts: (string | RegExp)[]): void {
  expect(outcome.stderr).toContain(`error [${code}]: `);
  for (const text of texts) expect(outcome.stderr).toMatch(text);
  if (!code.startsWith('data/')) expect(outcome.stderr).toMatch(/^ {2}where: \S/m);
  expect(outcome.stderr).toMatch(/^ {2}try: \S/m);
  expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(outcome.stdout).toBe('');
  expect(outcome.status).toBe(status);
}

describe('the command line', () => {
  test.each([
    [['strat'], 'usage/unknown-command', /Did you mean start/],
    [['simulate', '--jsn'], 'usage/unknown-flag', /Did you mean --json/],
    [['start', '--set', 'rounds'], 'usage/unknown-flag', /no "="/],
    [['start', '--set', 'alpha=0'], 'usage/unknown-flag', /alpha must be/],
  ])('%j', async (args, code, text) => {
    expectError(await tacit(args), code, EXIT.usage, text);
  });
});

describe('plans', () => {
  const check = (file: string, ...more: string[]) => tacit(['plan', 'check', at(file), ...more]);

  test('a misspelt key is named with its path, its place and the nearest key', async () => {
    const text = readFileSync(at('misspelt.yaml'), 'utf8').split('\n');
    const line = text.findIndex((row) => row.includes('chort: ')) + 1;
    const outcome = await check('misspelt.yaml');
    expectError(
      outcome,
      'plan/invalid',
      EXIT.usage,
      'rounds.chort: there is no such key',
      'Did you mean "rounds.cohort"',
    );
    expect(outcome.stderr).toContain(`misspelt.yaml:${line}:3 (rounds.chort)`);
    expect(outcome.stderr).toContain('rounds.cohort: is missing: number expected');
  });

  test('a key at the wrong depth is sent to the right one', async () => {
    const outcome = await check('misplaced.yaml');
    expectError(outcome, 'plan/invalid', EXIT.usage, 'steps: there is no such key', 'Did you mean "training.steps"');
  });

  test('a value of the wrong type is named with its path and place', async () => {
    const text = readFileSync(at('wrong-type.yaml'), 'utf8').split('\n');
    const line = text.findIndex((row) => row.includes('count: many')) + 1;
    expectError(
      await check('wrong-type.yaml'),
      'plan/invalid',
      EXIT.usage,
      /rounds\.count: .*number/,
      `wrong-type.yaml:${line}:3`,
    );
  });

  test.each([
    ['encoder.yaml', 'plan/unknown-name', /encoder\.name.*mlp, conv/],
    ['pretext.yaml', 'plan/unknown-name', /pretext\.name.*spectral, simclr/],
    ['strategy.yaml', 'plan/unknown-name', /strategy\.name: "\w+" is not one of fedavg/],
    ['option.yaml', 'plan/invalid', /encoder\.filtrs.*\n[\s\S]*Did you mean "encoder.filters"/],
  ])('%s: %s', async (file, code, text) => {
    expectError(await check(file), code, EXIT.usage, text);
  });

  test('broken YAML is answered with line and column', async () => {
    expectError(
      await check('broken.yaml'),
      'plan/unreadable',
      EXIT.usage,
      /line \d+, column \d+/,
      /broken\.yaml:\d+:\d+/,
    );
    expectError(await check('plan.json'), 'plan/unreadable', EXIT.usage, /line 2, column \d+/);
  });

  test('a file that is missing or holds no plan', async () => {
    expectError(await check('nowhere.yaml'), 'plan/unreadable', EXIT.usage, 'there is no such file');
    expectError(await check('list.yaml'), 'plan/invalid', EXIT.usage, 'keys and values');
  });

  test('an override that brings the fault in is named', async () => {
    const wrong = await tacit(['plan', 'check', 'digits', '--set', 'rounds=-1']);
    expectError(wrong, 'plan/invalid', EXIT.usage, 'rounds.count', /where: --set rounds=-1/);
    const unknown = await tacit(['plan', 'check', 'digits', '--set', 'trainin.steps=1']);
    expectError(unknown, 'plan/invalid', EXIT.usage, 'trainin', 'Did you mean "training"');
  });

  test('two plans that cannot hold: the cohort and what the encoder can take', async () => {
    const outcome = await tacit(['plan', 'check', 'digits', '--set', 'encoder=conv', '--set', 'data.shape=[2, 2, 1]']);
    expectError(outcome, 'plan/refused', EXIT.usage, '4-fold');
    expect(outcome.stderr).toContain('--set');
  });
});

describe('data', () => {
  test('a missing folder', async () => {
    expectError(await tacit(['data', 'check', at('nowhere')]), 'data/not-found', EXIT.data, 'nowhere');
  });

  test('truncated files', async () => {
    expectError(await tacit(['data', 'check', at('truncated')]), 'data/unreadable', EXIT.data, 'train-images');
    expectError(await tacit(['data', 'check', at('cut-idx3-ubyte.gz')]), 'data/unreadable', EXIT.data);
  });

  test('images of the wrong size and too few of them: a report, and the status of the first fault', async () => {
    const outcome = await tacit(['data', 'check', at('pictures'), '--plan', 'digits']);
    expect(outcome.stdout).toMatch(/verdict\s+does not fit/);
    expect(outcome.stderr).toContain('error [data/wrong-shape]');
    expect(outcome.status).toBe(EXIT.data);
    const few = await tacit(['data', 'check', at('pictures'), '--plan', 'digits', '--json']);
    const report = JSON.parse(few.stdout) as { problems: { code: string }[] };
    expect(report.problems.map((problem) => problem.code)).toEqual(['data/wrong-shape', 'data/too-few-examples']);
    expect(few.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(few.status).toBe(EXIT.data);
  });
});

describe('files', () => {
  test('a run folder that cannot be written is refused before anything is computed', async () => {
    const outcome = await tacit(['start', '--out', at('a-file', 'run')]);
    expectError(outcome, 'run/store', EXIT.run, /--out .*a-file/);
  });

  test('a run that is none', async () => {
    const outcome = await tacit(['evaluate', at('nowhere'), '--data', 'digits']);
    expectError(outcome, 'run/not-found', EXIT.data, 'nowhere');
    expectError(await tacit(['embed', at('a-file'), '--data', 'digits']), 'weights/malformed', EXIT.data, 'a-file');
  });
});

test('with --json the error is the one line of stdout, and stderr still says it to people', async () => {
  const { stdout, stderr, status } = await tacit(['plan', 'check', at('encoder.yaml'), '--json']);
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  const { error } = JSON.parse(stdout) as { error: Record<string, string> };
  expect(error.code).toBe('plan/unknown-name');
  expect(error.where).toContain('encoder.name');
  expect(error.hint).toBe('Did you mean "conv"?');
  expect(error.message).toBe('encoder.name: "cnov" is not one of mlp, conv, resnet, vit');
  expect(stderr).toContain('error [plan/unknown-name]');
  expect(status).toBe(EXIT.usage);
});

test('TACIT_DEBUG=1 adds the stack', async () => {
  const { stderr } = await tacit(['plan', 'check', at('encoder.yaml')], { env: { TACIT_DEBUG: '1' } });
  expect(stderr).toMatch(/^\s+at .*:\d+/m);
});
