import { statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import { completePlan } from '../../../learning/registry.ts';
import { checkpointName, createRun, openRun, planBytesOf, RUN_FILES } from '../../../learning/run-folder.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../protocol/safetensors.ts';

const plan = completePlan({
  version: 1,
  task: 'tiny',
  data: { shape: [4, 4, 1] },
  encoder: { name: 'mlp', hidden: [4], dim: 2 },
  pretext: { name: 'spectral', projector: { hidden: [], dim: 2 } },
  augmentation: { name: 'image' },
  training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
  rounds: { count: 1, cohort: 2 },
  privacy: { mode: 'sealed', clipNorm: 1 },
});
const model = modelOf(plan).init(1);
const encoderNames = Object.keys(modelOf(plan).encoderSpecs).sort();

let base: string;
let dir: string;
let n = 0;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'tacit-run-'));
});
beforeEach(() => {
  dir = join(base, `run-${n++}`);
});
afterAll(() => rm(base, { recursive: true, force: true }));

test('what is written is found again: plan bytes, metrics, checkpoints, encoder, result', async () => {
  const bytes = planBytesOf(plan);
  const run = await createRun(dir, bytes);
  await run.metrics({ round: 1, loss: -1.5 });
  await run.metrics({ round: 2, loss: -2 });
  await run.checkpoint(2, encodeSafetensors(model));
  await run.finalEncoder(model, { rounds: '2' });
  await run.result({ modelHash: 'x' });
  await run.report('<!doctype html>');
  expect(new Uint8Array(await readFile(join(dir, RUN_FILES.plan)))).toEqual(bytes);
  const lines = (await readFile(join(dir, RUN_FILES.metrics), 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { round: 1, loss: -1.5 },
    { round: 2, loss: -2 },
  ]);
  expect(await readdir(join(dir, 'checkpoints'))).toEqual(['round-000002.safetensors']);
  expect(JSON.parse(await readFile(join(dir, RUN_FILES.result), 'utf8'))).toEqual({ modelHash: 'x' });

  const opened = await openRun(dir);
  expect(opened.plan).toEqual(plan);
  expect(opened.planBytes).toEqual(bytes);
  expect(Object.keys(opened.model).sort()).toEqual(encoderNames);
  for (const name of encoderNames) expect(opened.model[name]).toEqual(model[name]);
  expect(opened.metadata.rounds).toBe('2');
});

test('whoever looks while a checkpoint is written sees all of it or none: what a kill leaves is no damaged model', async () => {
  const run = await createRun(dir, plan);
  const bytes = new Uint8Array(16 * 2 ** 20);
  const path = join(dir, 'checkpoints', checkpointName(1));
  let writing = true;
  const written = run.checkpoint(1, bytes).finally(() => {
    writing = false;
  });
  const sizes = new Set<number | undefined>();
  while (writing) {
    sizes.add(statSync(path, { throwIfNoEntry: false })?.size);
    await new Promise(setImmediate);
  }
  await written;
  sizes.add((await stat(path)).size);
  expect([...sizes]).toEqual([undefined, bytes.length]);
});

test('a bare encoder file carries its plan; a checkpoint needs one to be named', async () => {
  const run = await createRun(dir, plan);
  await run.finalEncoder(encodeSafetensors(model));
  await run.checkpoint(1, encodeSafetensors(model));
  const alone = await openRun(join(dir, RUN_FILES.encoder));
  expect(alone.plan).toEqual(plan);
  const checkpoint = join(dir, 'checkpoints', 'round-000001.safetensors');
  await expect(openRun(checkpoint)).rejects.toMatchObject({
    code: 'plan/unreadable',
    hint: expect.stringContaining('--plan'),
  });
  const opened = await openRun(checkpoint, plan);
  expect(Object.keys(opened.model).sort()).toEqual(encoderNames);
  expect(decodeSafetensors(await readFile(checkpoint)).arrays).toHaveProperty('projector/dense0/kernel');
});

test('a second run moves the first aside, a resumed one goes on', async () => {
  await (await createRun(dir, plan)).metrics({ run: 1 });
  await (await createRun(dir, plan)).metrics({ run: 2 });
  await (await createRun(dir, plan)).metrics({ run: 3 });
  const metrics = (path: string) => readFile(join(dir, path, RUN_FILES.metrics), 'utf8');
  expect(await metrics('.')).toBe('{"run":3}\n');
  expect(await metrics('previous/1')).toBe('{"run":1}\n');
  expect(await metrics('previous/2')).toBe('{"run":2}\n');
  await (await createRun(dir, plan, { resume: true })).metrics({ run: 4 });
  expect(await metrics('.')).toBe('{"run":3}\n{"run":4}\n');
  const other = { ...plan, seed: 9 };
  await (await createRun(dir, other, { resume: true })).metrics({ run: 5 });
  expect(await metrics('.')).toBe('{"run":5}\n');
});

test('what is not a run is said to be none', async () => {
  await expect(openRun(join(base, 'nowhere'))).rejects.toMatchObject({ code: 'run/not-found' });
  await mkdir(dir);
  await expect(openRun(dir)).rejects.toMatchObject({
    code: 'run/not-found',
    message: expect.stringContaining('plan.json'),
  });
  await createRun(dir, plan);
  await expect(openRun(dir)).rejects.toMatchObject({
    code: 'run/not-found',
    message: expect.stringContaining('encoder.safetensors'),
  });
  await writeFile(join(dir, RUN_FILES.encoder), 'rubbish');
  await expect(openRun(dir)).rejects.toMatchObject({
    code: 'weights/malformed',
    where: join(dir, RUN_FILES.encoder),
  });
  await writeFile(join(dir, RUN_FILES.encoder), encodeSafetensors({ 'projector/x': model[encoderNames[0]!]! }));
  await expect(openRun(dir)).rejects.toMatchObject({ code: 'weights/mismatch' });
});

test('a folder that cannot be written is said so', async () => {
  await writeFile(dir, 'a file');
  await expect(createRun(join(dir, 'run'), plan)).rejects.toMatchObject({ code: 'run/store', where: join(dir, 'run') });
});
