/** The CUDA provider is looked for without harm: absent, broken, or taking its process along, it is one line. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import { probeCuda, probeCudaIn } from '../../../../../learning/engine/cuda.ts';

let empty: string;
let installed: string;
beforeAll(() => {
  empty = mkdtempSync(join(tmpdir(), 'tacit-cuda-'));
  installed = mkdtempSync(join(tmpdir(), 'tacit-cuda-'));
  for (const name of ['libonnxruntime_providers_cuda.so', 'onnxruntime_providers_cuda.dll'])
    writeFileSync(join(installed, name), 'not a library');
});
afterAll(() => {
  for (const folder of [empty, installed]) rmSync(folder, { recursive: true });
});

describe('the CUDA provider', () => {
  it('that is not installed is not tried', async () => {
    const absent = { available: false, installed: false, reason: expect.stringContaining('not installed') };
    expect(await probeCudaIn(empty, 'process.abort()')).toEqual(absent);
    expect(await probeCudaIn(undefined)).toEqual(absent);
  });

  it('that aborts its process does not abort this one', async () => {
    const probe = await probeCudaIn(installed, 'process.abort()');
    expect(probe).toMatchObject({ available: false, installed: true, reason: expect.stringContaining('SIGABRT') });
  });

  it('that fails is explained in one line', async () => {
    const probe = await probeCudaIn(installed, "console.error('first\\nno kernel image'); process.exit(1)");
    expect(probe).toMatchObject({ reason: 'the CUDA provider is installed, but no kernel image' });
  });

  it('is tried with a real session, and used exactly where that works', async () => {
    const real = await probeCuda();
    // where the machine has no provider, the child of a folder that pretends fails in ONNX Runtime itself
    if (!real.available) expect(await probeCudaIn(installed)).toMatchObject({ available: false, installed: true });
    const engine = await compiledEngine();
    expect(engine.name).toBe(real.available ? 'compiled:cuda' : 'compiled:cpu');
    await engine.close();
    const asked = compiledEngine({ provider: 'cuda' });
    if (real.available) await (await asked).close();
    else await expect(asked).rejects.toMatchObject({ code: 'engine/unavailable', message: real.reason });
  });
});
