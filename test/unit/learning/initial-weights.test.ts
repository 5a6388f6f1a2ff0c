import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadStart } from '../../../cli/plan-file.ts';
import { startingPoint, weightsLines } from '../../../learning/initial-weights.ts';
import { modelOf } from '../../../learning/model.ts';
import { encodeSafetensors } from '../../../protocol/safetensors.ts';
import { float32, type NamedArrays } from '../../../protocol/tensors.ts';
import { merged, minimalPlan, TINY } from './plans.ts';

const folder = mkdtempSync(join(tmpdir(), 'tacit-weights-'));
afterAll(() => rmSync(folder, { recursive: true }));

const written = merged(merged(minimalPlan, TINY.mlp), TINY.spectral);
const { plan } = await startingPoint(written);
const specs = modelOf(plan).aggregated;
const names = Object.keys(specs);
const encoder = names.filter((name) => name.startsWith('encoder/'));

/** Other weights than the plan's own, of its encoder only. */
const pretrained: NamedArrays = Object.fromEntries(
  encoder.map((name) => [name, modelOf(plan).init('elsewhere')[name]!]),
);
const renamed: NamedArrays = Object.fromEntries(
  Object.entries(pretrained).map(([name, array]) => [name.replace('encoder/', 'backbone.'), array]),
);

function file(name: string, arrays: NamedArrays): string {
  const path = join(folder, name);
  writeFileSync(path, encodeSafetensors(arrays));
  return path;
}

const start = (path: string, more: object = {}) =>
  startingPoint({ ...written, initialWeights: { file: path, ...more } });

describe('initial weights', () => {
  it('take the place of the random ones; what the file lacks stays as the seed draws it', async () => {
    const { initialModel, report } = await start(file('encoder.safetensors', pretrained));
    const own = modelOf(plan).init(plan.seed);
    for (const name of names) expect(initialModel![name]).toEqual(pretrained[name] ?? own[name]);
    expect(Object.keys(initialModel!)).toEqual(names);
    expect(report!.taken).toEqual(encoder);
    expect(report!.missing).toEqual(names.filter((name) => !encoder.includes(name)));
    expect([report!.misfits, report!.unused]).toEqual([[], []]);
    expect(report!.takenNumbers).toBe(encoder.reduce((n, name) => n + pretrained[name]!.data.length, 0));
  });

  it('reach the plan as the hash of the model only: neither path nor names are sent', async () => {
    const { plan: sent, initialModel } = await start(file('secret-place.safetensors', pretrained));
    const modelHash = createHash('sha256').update(encodeSafetensors(initialModel!)).digest('hex');
    expect(sent).toEqual({ ...plan, initialWeights: { modelHash } });
    expect(JSON.stringify(sent)).not.toContain('secret-place');
    expect((await startingPoint(sent)).plan).toEqual(sent);
  });

  it('are found under other names', async () => {
    const path = file('renamed.safetensors', renamed);
    const { initialModel, report } = await start(path, { names: { backbone: 'nowhere', 'backbone.': 'encoder/' } });
    expect(report!.taken).toEqual(encoder);
    expect(initialModel![encoder[0]!]).toEqual(pretrained[encoder[0]!]);
    await expect(start(path, { names: { 'backbone.': 'encoder/x/' } })).rejects.toMatchObject({
      code: 'weights/mismatch',
    });
  });

  it('of another shape are listed and not taken, and so is what the plan has no place for', async () => {
    const [first, ...rest] = encoder;
    const odd = { ...pretrained, [first!]: float32([2, 2]), 'classifier/bias': float32([3]) };
    const { initialModel, report } = await start(file('odd.safetensors', odd));
    expect(report!.taken).toEqual(rest);
    expect(report!.misfits).toEqual([
      { name: first, found: 'float32 [2, 2]', needed: `float32 [${specs[first!]!.shape.join(', ')}]` },
    ]);
    expect(report!.unused).toEqual(['classifier/bias']);
    expect(initialModel![first!]).toEqual(modelOf(plan).init(plan.seed)[first!]);
    const text = weightsLines(report!).join('\n');
    for (const words of [`${first} is float32 [2, 2] there`, 'classifier/bias', 'not in the file'])
      expect(text).toContain(words);
  });

  it('of which nothing fits are an error that lists everything', async () => {
    const nothing = start(file('nothing.safetensors', renamed));
    await expect(nothing).rejects.toMatchObject({
      code: 'weights/mismatch',
      message: expect.stringContaining('backbone.'),
    });
  });

  it('that are not there, are no safetensors, or hold NaN are refused with their place', async () => {
    await expect(start(join(folder, 'absent'))).rejects.toMatchObject({ code: 'data/not-found' });
    writeFileSync(join(folder, 'text'), 'not weights');
    await expect(start(join(folder, 'text'))).rejects.toMatchObject({
      code: 'weights/malformed',
      where: expect.stringContaining('text'),
    });
    const [first] = encoder;
    const nan = {
      ...pretrained,
      [first!]: float32(specs[first!]!.shape, Float32Array.from(pretrained[first!]!.data).fill(Number.NaN)),
    };
    await expect(start(file('nan.safetensors', nan))).rejects.toMatchObject({ code: 'weights/not-finite' });
    await expect(start('x', { nmaes: {} })).rejects.toMatchObject({
      code: 'plan/invalid',
      where: 'initialWeights.nmaes',
    });
  });

  it('lie beside the plan file that names them', async () => {
    const dir = join(folder, 'beside');
    mkdirSync(dir);
    writeFileSync(join(dir, 'w.safetensors'), encodeSafetensors(pretrained));
    writeFileSync(join(dir, 'plan.json'), JSON.stringify({ ...written, initialWeights: { file: 'w.safetensors' } }));
    expect((await loadStart(join(dir, 'plan.json'))).report!.taken).toEqual(encoder);
  });
});
