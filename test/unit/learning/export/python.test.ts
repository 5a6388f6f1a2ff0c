/**
 * What others make of our ONNX: the checker of ONNX itself accepts every exported encoder and every training graph, and
 * Python's onnxruntime computes from an export what the encoder computes. One Python process for all of it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile } from '../../../../learning/engine/compile.ts';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import { exportOnnx } from '../../../../learning/export/onnx.ts';
import { fineTuneProgram } from '../../../../learning/fine-tuning.ts';
import { under, within } from '../../../../learning/names.ts';
import { pretexts } from '../../../../learning/registry.ts';
import { encodeProgram, trainProgram } from '../../../../learning/train-step.ts';
import { missingFromPython, python } from '../../../reference/python.ts';
import { CLASSES, ENCODER_NAMES, imagesFor, planFor, weightsFor } from './plans.ts';

const SCRIPT = `
import json, sys, os, onnx
folder = sys.argv[1]
answers = {}
for name in sorted(os.listdir(folder)):
    if not name.endswith('.onnx'): continue
    try:
        onnx.checker.check_model(os.path.join(folder, name), full_check=True)
        answers[name] = 'accepted'
    except Exception as error:
        answers[name] = str(error)
runs = {}
cases = json.load(open(os.path.join(folder, 'cases.json')))
if cases:
    import numpy, onnxruntime
    for case in cases:
        session = onnxruntime.InferenceSession(os.path.join(folder, case['file']), providers=['CPUExecutionProvider'])
        images = numpy.array(case['images'], dtype=numpy.float32).reshape(case['shape'])
        result = session.run(['embeddings'], {'images': images})[0]
        runs[case['file']] = {'shape': list(result.shape), 'data': [float(x) for x in result.ravel()],
                              'axis': session.get_inputs()[0].shape[0],
                              'metadata': session.get_modelmeta().custom_metadata_map}
print(json.dumps({'answers': answers, 'runs': runs}))
`;

interface Opinion {
  readonly answers: Readonly<Record<string, string>>;
  readonly runs: Readonly<Record<string, { shape: number[]; data: number[]; axis: string; metadata: object }>>;
}

const BATCH = 5;
const missing = missingFromPython('onnx', 'onnxruntime', 'numpy');
const folder = mkdtempSync(join(tmpdir(), 'tacit-onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));

const exportName = (encoder: string): string => `export-${encoder}.onnx`;
const trainName = (encoder: string, task: string): string => `train-${encoder}-${task}.onnx`;
const tuneName = (encoder: string): string => `fine-tune-${encoder}.onnx`;

const planWith = (encoder: string, task: string) => planFor(encoder, { pretext: { name: task } });

function writeAll(): void {
  const write = (name: string, bytes: Uint8Array): void => writeFileSync(join(folder, name), bytes);
  const cases: object[] = [];
  for (const encoder of ENCODER_NAMES) {
    const plan = planFor(encoder);
    const weights = weightsFor(plan);
    write(exportName(encoder), exportOnnx({ plan, weights, classes: CLASSES }, { task: plan.task }));
    const images = imagesFor(plan, BATCH);
    cases.push({ file: exportName(encoder), shape: images.shape, images: Array.from(images.data) });
    for (const task of pretexts.keys())
      write(trainName(encoder, task), compile(trainProgram(planWith(encoder, task))).bytes);
    const tuning = { method: 'full', classes: 3, batch: 4, optimiser: plan.training.optimiser } as const;
    write(tuneName(encoder), compile(fineTuneProgram(plan, tuning)).bytes);
  }
  writeFileSync(join(folder, 'cases.json'), JSON.stringify(cases));
}

describe.skipIf(missing)(`ONNX in Python${missing ? ` (skipped: ${missing})` : ''}`, { timeout: 120_000 }, () => {
  let opinion: Opinion;
  beforeAll(() => {
    writeAll();
    opinion = python(SCRIPT, folder) as Opinion;
  }, 120_000);

  it.each(ENCODER_NAMES)('accepts the exported encoder %s and computes what it computes', async (encoder) => {
    expect(opinion.answers[exportName(encoder)]).toBe('accepted');
    const run = opinion.runs[exportName(encoder)]!;
    const plan = planFor(encoder);
    const engine = await eagerEngine('cpu');
    const executable = await engine.load(encodeProgram(plan));
    await executable.set(under('params/encoder', within('encoder', weightsFor(plan))));
    const { embeddings } = await executable.run({ images: imagesFor(plan, BATCH) });
    await engine.close();
    expect([run.axis, run.shape]).toEqual(['batch', embeddings!.shape]);
    expect(run.metadata).toEqual({ task: plan.task });
    const scale = Math.max(...Array.from(embeddings!.data, Math.abs));
    run.data.forEach((x, i) => {
      expect(Math.abs(x - embeddings!.data[i]!)).toBeLessThan(1e-4 * scale);
    });
  });

  it.each(ENCODER_NAMES)('accepts the training graphs of encoder %s', (encoder) => {
    const names = [...[...pretexts.keys()].map((task) => trainName(encoder, task)), tuneName(encoder)];
    expect(names.map((name) => `${name}: ${opinion.answers[name]}`)).toEqual(names.map((n) => `${n}: accepted`));
  });

  it('refuses a graph whose bytes are wrong, so that it is no rubber stamp', () => {
    const bytes = exportOnnx({ plan: planFor('mlp'), weights: weightsFor(planFor('mlp')) });
    const at = Buffer.from(bytes).indexOf('MatMul');
    bytes.set(Buffer.from('MutMal'), at);
    const broken = mkdtempSync(join(tmpdir(), 'tacit-onnx-'));
    writeFileSync(join(broken, 'broken.onnx'), bytes);
    writeFileSync(join(broken, 'cases.json'), '[]');
    const { answers } = python(SCRIPT, broken) as Opinion;
    rmSync(broken, { recursive: true });
    expect(answers['broken.onnx']).toMatch(/MutMal/);
  });
});
