/** `tacit export` and `tacit embed --json`: what others compute from the exported file is what Tacit computes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadPlan } from '../../cli/plan-file.ts';
import { modelOf } from '../../learning/model.ts';
import { createRun, openRun } from '../../learning/run-folder.ts';
import { EXIT } from '../../protocol/errors.ts';
import { decodeSafetensors } from '../../protocol/safetensors.ts';
import { missingFromPython, python } from '../reference/python.ts';
import { buildOnce, tacit } from './cli.ts';

interface Embedded {
  readonly inputs: number[][][][];
  readonly embeddings: number[][];
}

let dir: string;
let run: string;
const at = (...names: string[]): string => join(dir, ...names);
const ENGINE = ['--engine', 'eager:cpu'];
const COUNT = 7;

async function result(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr, status } = await tacit([...args, '--json', '--quiet']);
  expect(stderr).not.toContain('error');
  expect(status).toBe(EXIT.ok);
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const embed = (from: string): Promise<Embedded> =>
  result(
    'embed',
    from,
    '--data',
    'digits:test',
    '--limit',
    String(COUNT),
    ...ENGINE,
  ) as Promise<unknown> as Promise<Embedded>;

async function runOnnx(file: string, { inputs }: Embedded): Promise<Record<string, number[]>> {
  const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  const images = Float32Array.from((inputs as unknown as number[][]).flat(3) as number[]);
  const shape = [inputs.length, inputs[0]!.length, inputs[0]![0]!.length, inputs[0]![0]![0]!.length];
  const outputs = await session.run({ images: new ort.Tensor('float32', images, shape) });
  await session.release();
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
  );
}

function expectClose(actual: readonly number[], wanted: readonly number[]): void {
  expect(actual).toHaveLength(wanted.length);
  const scale = Math.max(...wanted.map(Math.abs));
  actual.forEach((x, i) => {
    expect(Math.abs(x - wanted[i]!)).toBeLessThan(1e-5 * scale);
  });
}

beforeAll(async () => {
  buildOnce();
  dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));
  run = at('run');
  const overrides = [{ text: '', path: ['encoder'], value: { name: 'mlp', hidden: [16], dim: 8 } }];
  const plan = await loadPlan('digits', { overrides });
  const writer = await createRun(run, plan);
  await writer.finalEncoder(modelOf(plan).init(plan.seed));
  await writer.metrics({ type: 'round', round: 4, loss: 1.25 });
  await writer.result({ rounds: 5, participants: 10, rankMe: 3.2, modelHash: 'ab'.repeat(32) });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('tacit export', { timeout: 120_000 }, () => {
  test('onnx: gives what embed gives for the inputs that embed shows', async () => {
    const out = at('encoder.onnx');
    const exported = await result('export', run, '--format', 'onnx', '--out', out);
    expect(exported).toMatchObject({ format: 'onnx', outputs: { embeddings: ['batch', 8] }, head: null });
    const embedded = await embed(run);
    expect(Object.keys(embedded)).toEqual(['inputs', 'embeddings']);
    expect(embedded.inputs).toHaveLength(COUNT);
    const { embeddings } = await runOnnx(out, embedded);
    expectClose(embeddings!, embedded.embeddings.flat());
  });

  test('its model card says contract, plan, rounds, metrics and privacy', async () => {
    const rounds = (await openRun(run)).plan.rounds.count;
    const card = readFileSync(at('encoder.onnx.md'), 'utf8');
    for (const words of [
      'float32 [batch, 8, 8, 1], grey',
      `5 of ${rounds}`,
      '10 participants',
      '1.2500',
      'RankMe',
      'ab'.repeat(32),
      'differential privacy was not used',
      '"task": "digits"',
    ])
      expect(card).toContain(words);
  });

  test('safetensors: the tensors of the run, under their names', async () => {
    const out = at('encoder.safetensors');
    await result('export', run, '--format', 'safetensors', '--out', out);
    const { arrays, metadata } = decodeSafetensors(new Uint8Array(readFileSync(out)));
    expect(arrays).toEqual((await openRun(run)).model);
    expect(JSON.parse(metadata.data!)).toMatchObject({ shape: ['batch', 8, 8, 1], range: [0, 1] });
    expect((await embed(out)).embeddings).toEqual((await embed(run)).embeddings);
  });

  test('--head FILE: the tuned encoder with its head; the scores choose the classes that finetune counted', async () => {
    const classifier = at('classifier.safetensors');
    const few = ['--labels-per-class', '3', '--out', classifier];
    await result('finetune', run, '--data', 'digits', ...few, ...ENGINE);
    const out = at('classifier.onnx');
    const exported = await result('export', run, '--format', 'onnx', '--head', classifier, '--out', out);
    expect(exported).toMatchObject({ outputs: { embeddings: ['batch', 8], logits: ['batch', 10] } });
    const embedded = await embed(classifier);
    const { embeddings, logits } = await runOnnx(out, embedded);
    expectClose(embeddings!, embedded.embeddings.flat());
    const { head } = await openRun(classifier);
    const wanted = embedded.embeddings.flatMap((z) =>
      Array.from({ length: 10 }, (_, c) =>
        z.reduce((sum, x, j) => sum + x * head['head/kernel']!.data[10 * j + c]!, head['head/bias']!.data[c]!),
      ),
    );
    expectClose(logits!, wanted);
    expect(readFileSync(`${out}.md`, 'utf8')).toContain('In this order: 0, 1, 2');
  });

  test('--head with --data: a linear probe, far above chance', async () => {
    const out = at('probe.onnx');
    const exported = await result(
      'export',
      run,
      '--format',
      'onnx',
      '--head',
      '--data',
      'digits',
      '--out',
      out,
      ...ENGINE,
    );
    const { accuracy } = exported.head as { accuracy: number };
    expect(accuracy).toBeGreaterThan(0.5);
    const embedded = await embed(run);
    const { embeddings, logits } = await runOnnx(out, embedded);
    expectClose(embeddings!, embedded.embeddings.flat());
    expect(logits).toHaveLength(10 * COUNT);
  });

  test('a head that is not there, a run that is not there, a folder that is not there', async () => {
    const attempt = (...args: string[]) =>
      tacit(['export', ...args, '--format', 'onnx', '--out', at('none', 'x.onnx')]);
    const headless = await attempt(run, '--head');
    expect(headless.stderr).toContain('without a head');
    expect(headless.status).toBe(EXIT.data);
    expect((await attempt(at('nothing'))).status).toBe(EXIT.data);
    const unwritable = await attempt(run);
    expect([unwritable.status, unwritable.stderr]).toEqual([EXIT.run, expect.stringContaining('[run/store]')]);
    expect(existsSync(at('none'))).toBe(false);
  });
});

/** A forward pass of the mlp in numpy, from the safetensors file alone; and the ONNX file in onnxruntime. */
const SCRIPT = `
import json, sys, numpy, onnxruntime, onnx
from safetensors import safe_open
with safe_open(sys.argv[1], 'numpy') as file:
    weights = {name: file.get_tensor(name) for name in file.keys()}
    contract = json.loads(file.metadata()['data'])
images = numpy.array(json.load(open(sys.argv[3]))['inputs'], dtype=numpy.float32)
assert contract['normalisation']['applied'] == 'by the caller'
mean, std = (numpy.array(contract['normalisation'][key], dtype=numpy.float32) for key in ('mean', 'std'))
z = ((images - mean) / std).reshape(len(images), -1) @ weights['encoder/dense0/kernel']
z = (z - z.mean(1, keepdims=True)) / numpy.sqrt(z.var(1, keepdims=True) + 1e-5)
z = numpy.maximum(z * weights['encoder/norm0/scale'] + weights['encoder/norm0/offset'], 0)
z = z @ weights['encoder/dense1/kernel'] + weights['encoder/dense1/bias']
onnx.checker.check_model(sys.argv[2], full_check=True)
session = onnxruntime.InferenceSession(sys.argv[2], providers=['CPUExecutionProvider'])
y = session.run(None, {session.get_inputs()[0].name: images})[0]
print(json.dumps({'safetensors': z.ravel().tolist(), 'onnx': y.ravel().tolist()}))
`;

const missing = missingFromPython('numpy', 'onnx', 'onnxruntime', 'safetensors');
test.skipIf(missing)(
  `Python reads both files${missing ? ` (skipped: ${missing})` : ''}`,
  { timeout: 120_000 },
  async () => {
    const embedded = await embed(run);
    writeFileSync(at('embedded.json'), JSON.stringify(embedded));
    const read = python(SCRIPT, at('encoder.safetensors'), at('encoder.onnx'), at('embedded.json')) as {
      safetensors: number[];
      onnx: number[];
    };
    expectClose(read.safetensors, embedded.embeddings.flat());
    expectClose(read.onnx, embedded.embeddings.flat());
  },
);
