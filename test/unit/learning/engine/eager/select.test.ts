import { describe, expect, it } from 'vitest';
import { probeTensorFlow } from '../../../../../learning/engine/eager-tensorflow.ts';
import type { EngineChoice } from '../../../../../learning/engine/engine.ts';
import { createEngine } from '../../../../../learning/engine/select.ts';

describe('createEngine', () => {
  it.each(['eager:cpu', 'eager:wasm'] as const)('gives %s when it is asked for', async (choice) => {
    const { engine, reason } = await createEngine(choice);
    expect([engine.name, reason]).toEqual([choice, 'asked for']);
    await engine.close();
  });

  it('gives the native library where it runs, and otherwise WebAssembly and says why', async () => {
    const native = await probeTensorFlow();
    const { engine, reason } = await createEngine('eager');
    expect(engine.name).toBe(native.available ? 'eager:tensorflow' : 'eager:wasm');
    expect(reason).toContain(native.available ? native.package : native.reason);
    expect(reason).not.toContain('\n');
    await engine.close();
  });

  it.each(['eager:webgl', 'eager:quantum', 'quantum'])('refuses %s with a code and what there is', async (choice) => {
    await expect(createEngine(choice as EngineChoice)).rejects.toMatchObject({
      code: 'engine/unavailable',
      where: choice,
    });
  });

  it('explains in one line why the native library is absent', async () => {
    const native = await probeTensorFlow();
    if (native.available) return;
    await expect(createEngine('eager:tensorflow')).rejects.toMatchObject({
      code: 'engine/unavailable',
      message: native.reason,
    });
  });
});
