/** The commands that need nobody else: keygen, plan check, data check, doctor, and embed, evaluate, finetune on a run folder. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadPlan } from '../../cli/plan-file.ts';
import { modelOf } from '../../learning/model.ts';
import { createRun, openRun } from '../../learning/run-folder.ts';
import { EXIT } from '../../protocol/errors.ts';
import { buildOnce, root, tacit } from './cli.ts';

let dir: string;
let run: string;
const at = (...names: string[]): string => join(dir, ...names);

/** The one JSON line that a command gave. */
async function result(args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr, status } = await tacit([...args, '--json']);
  expect(stderr).not.toContain('error');
  expect(status).toBe(EXIT.ok);
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

beforeAll(async () => {
  buildOnce();
  dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));
  run = at('run');
  const overrides = [{ text: '', path: ['encoder'], value: { name: 'mlp', hidden: [16] } }];
  const plan = await loadPlan('digits', { overrides });
  await (await createRun(run, plan)).finalEncoder(modelOf(plan).init(plan.seed));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('help', () => {
  const commands = [
    'start',
    'serve',
    'join',
    'simulate',
    'finetune',
    'evaluate',
    'embed',
    'export',
    'engine',
    'plan',
    'data',
    'keygen',
    'enroll',
    'verify',
    'doctor',
  ];

  test('lists every command, exit statuses and an example', async () => {
    const { stdout, stderr, status } = await tacit(['--help']);
    for (const command of commands) expect(stdout).toContain(`\n  ${command}`);
    expect(stdout).toContain('Example:');
    for (const code of Object.values(EXIT)) expect(stdout).toContain(String(code));
    expect([stderr, status]).toEqual(['', EXIT.ok]);
  });

  test('no command at all shows the help', async () => {
    const { stderr, stdout, status } = await tacit([]);
    expect(stdout + stderr).toContain('Usage: tacit');
    expect(stdout + stderr).not.toContain('error [');
    expect(status).toBe(EXIT.ok);
  });
});

describe('keygen', () => {
  test('writes a key that only its owner can read, and never twice', async () => {
    const first = await result(['keygen', '--out', at('a.key')]);
    expect(first.fingerprint).toMatch(/^[\w-]{43}$/);
    expect(statSync(at('a.key')).mode & 0o777).toBe(0o600);
    const before = readFileSync(at('a.key'));
    const again = await tacit(['keygen', '--out', at('a.key')]);
    expect(again.stderr).toContain('never overwritten');
    expect(again.status).toBe(EXIT.usage);
    expect(readFileSync(at('a.key'))).toEqual(before);
  });

  test('the same seed makes the same key, another seed another, no seed a fresh one', async () => {
    const keys: unknown[] = [];
    for (const seed of [['--seed', '1'], ['--seed', '1'], ['--seed', '2'], []]) {
      keys.push((await result(['keygen', '--out', at(`k${keys.length}.key`), ...seed])).fingerprint);
    }
    expect(keys[0]).toBe(keys[1]);
    expect(new Set(keys).size).toBe(3);
  });
});

describe('plan check', () => {
  test('prints the plan complete, with sizes', async () => {
    const checked = await result(['plan', 'check', 'plans/digits.yaml', '--set', 'rounds=3', '--set', 'encoder=conv']);
    const plan = checked.plan as { rounds: object; encoder: object };
    expect(plan.rounds).toMatchObject({ count: 3, cohort: 10 });
    expect(plan.encoder).toMatchObject({ name: 'conv', filters: [32, 64, 128] });
    const model = modelOf(checked.plan as Parameters<typeof modelOf>[0]);
    const { parameters, bytesPerRound } = checked as {
      parameters: Record<string, number>;
      bytesPerRound: { up: number };
    };
    const total = Object.values(parameters).reduce((a, b) => a + b, 0);
    expect(total).toBe(model.reportShape.dimension);
    expect(bytesPerRound.up).toBeGreaterThan(4 * total);
    expect(JSON.stringify(checked.warnings)).not.toContain('privacy.mode sealed');
    const sealed = await result(['plan', 'check', 'plans/digits.yaml', '--set', 'privacy.mode=sealed']);
    expect(JSON.stringify(sealed.warnings)).toContain('privacy.mode sealed');
  });

  test('as text it says sections and sizes', async () => {
    const { stdout, status } = await tacit(['plan', 'check', 'fashion-mnist']);
    expect(status).toBe(EXIT.ok);
    expect(stdout).toMatch(/^delta +train +[\d,]+ +weightedSum/m);
    expect(stdout).toMatch(/^parameters +[\d,]+ \(encoder/m);
  });
});

test('data check reports on a bundled set, an IDX folder and a limit', async () => {
  const digits = await result(['data', 'check', 'digits', '--plan', 'digits']);
  expect(digits).toMatchObject({ examples: 1297, verdict: 'fits', unreadable: { count: 0 } });
  const folder = await result(['data', 'check', join(root, 'data', 'fashion-mnist'), '--limit', '10']);
  expect(folder).toMatchObject({ examples: 10_000, inspected: 10, verdict: 'fits' });
  const { stdout } = await tacit(['data', 'check', 'digits:test']);
  expect(stdout).toMatch(/examples +500/);
});

test('data preview writes a picture of examples and of their views', { timeout: 60_000 }, async () => {
  const out = at('views.png');
  const args = ['--plan', 'digits', '--count', '3', '--views', '2', '--engine', 'eager:wasm', '--out', out];
  const made = await result(['data', 'preview', 'digits', ...args]);
  expect(made).toMatchObject({ out, examples: 3, views: 2, width: 3 * 68 + 4, height: 3 * 68 + 4 });
  const picture = decode(readFileSync(out));
  expect([picture.width, picture.height, picture.channels]).toEqual([208, 208, 1]);
  expect(new Set(picture.data).size).toBeGreaterThan(10);
});

test('doctor finds what this test itself runs on', async () => {
  const { findings } = (await result(['doctor'])) as { findings: { name: string; ok: boolean; detail: string }[] };
  const found = new Map(findings.map((finding) => [finding.name, finding]));
  expect(found.get('Node')).toMatchObject({ ok: true, detail: expect.stringContaining(process.version) });
  expect(found.get('engine eager:wasm')).toMatchObject({ ok: true, detail: expect.stringContaining('4.22.0') });
  expect(found.get('engine auto')?.ok).toBe(true);
  expect(found.get('engine compiled')).toMatchObject({
    ok: true,
    detail: expect.stringContaining('onnxruntime-node 1.'),
  });
  for (const name of ['GPU', 'CUDA provider', 'engine in browsers', 'browser', 'processor'])
    expect(found.get(name)?.detail, name).toMatch(/./);
});

test('engine explain shows the graph of a step and where its time goes', { timeout: 60_000 }, async () => {
  const small = ['--set', 'encoder={name: mlp, hidden: [16]}', '--set', 'training.batch=8', '--runs', '2'];
  const explained = (await result(['engine', 'explain', 'digits', ...small])) as {
    nodes: number;
    operators: Record<string, number>;
    profile: { operator: string; ms: number }[];
    stepMs: number;
  };
  expect(Object.values(explained.operators).reduce((a, b) => a + b)).toBe(explained.nodes);
  expect(explained.operators.MatMul).toBeGreaterThan(2);
  expect(explained.profile.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(explained.stepMs, 6);
  expect(explained.stepMs).toBeGreaterThan(0);
  const { stdout } = await tacit(['engine', 'explain', 'digits', ...small]);
  expect(stdout).toMatch(/^operators +.*MatMul \d/m);
  expect(stdout).toMatch(/^operator, as executed/m);
});

describe('a run folder', { timeout: 120_000 }, () => {
  const embed = (...more: string[]) =>
    tacit(['embed', run, '--data', 'digits:test', '--engine', 'eager:wasm', ...more]);

  test('embed writes one line per example, as JSON and as CSV, with the same numbers', async () => {
    const lines = (await embed('--limit', '3')).stdout.trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line) as { index: number; label: string; embedding: number[] });
    expect(rows.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(rows[0]!.embedding).toHaveLength(128);
    expect(new Set(rows.map(({ embedding }) => embedding.join()))).toHaveProperty('size', 3);
    const { status } = await embed('--limit', '3', '--format', 'csv', '--out', at('z.csv'));
    expect(status).toBe(EXIT.ok);
    const [header, ...csv] = readFileSync(at('z.csv'), 'utf8').trimEnd().split('\n');
    expect(header).toMatch(/^index,label,z0,z1,.*z127$/);
    expect(csv).toEqual(rows.map(({ index, label, embedding }) => [index, label, ...embedding].join(',')));
  });

  test('embed covers a source that is longer than one piece', async () => {
    const { stdout } = await tacit(['embed', run, '--data', 'digits', '--engine', 'eager:wasm', '--quiet']);
    const indices = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { index: number }).index);
    expect(indices).toEqual(Array.from({ length: 1297 }, (_, i) => i));
  });

  test('embed stops quietly when its reader does', async () => {
    const command = `"${process.execPath}" dist/cli/tacit.js embed "${run}" --data digits --engine eager:wasm --quiet | head -n 1`;
    const child = spawn('bash', ['-o', 'pipefail', '-c', command], { cwd: root });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (err += text));
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect(out.trimEnd().split('\n')).toHaveLength(1);
    expect([err, status]).toEqual(['', EXIT.ok]);
  });

  test('evaluate scores the features of an untrained encoder well above chance', async () => {
    const scores = await result(['evaluate', run, '--data', 'digits:test', '--engine', 'eager:wasm']);
    expect(scores).toMatchObject({ examples: 400, testImages: 100, dimension: 128 });
    expect(scores.linearProbe).toBeGreaterThan(0.5);
    expect(scores.knn).toBeGreaterThan(0.5);
    expect(scores.rankMe).toBeGreaterThan(1);
    expect(scores.alignment).toBeGreaterThan(0);
    expect(scores.alignment).toBeLessThan(4);
    expect((scores.confusion as number[][]).flat().reduce((a, b) => a + b)).toBe(100);
    expect(Object.keys(scores.perClass as object)).toHaveLength(10);
  });

  test('finetune trains on the labels it may see, and the classifier it writes can be opened', async () => {
    const out = at('classifier.safetensors');
    const args = ['--labels-per-class', '5', '--engine', 'eager:wasm', '--out', out];
    const tuned = await result(['finetune', run, '--data', 'digits', ...args]);
    expect(tuned).toMatchObject({ labelled: 50, testImages: 500, method: 'lp-ft' });
    expect(tuned.accuracy).toBeGreaterThan(0.4);
    expect((await openRun(out)).plan.task).toBe('digits');
    const again = await result([
      'finetune',
      run,
      '--data',
      'digits',
      '--labels-per-class',
      '5',
      '--engine',
      'eager:wasm',
    ]);
    expect(again.accuracy).toBe(tuned.accuracy);
  });

  test('labels are required where they are used', async () => {
    const { stderr, status } = await tacit(['finetune', run, '--data', 'digits', '--labels-per-class', '500']);
    expect(stderr).toContain('error [data/too-few-examples]');
    expect(status).toBe(EXIT.data);
  });
});
