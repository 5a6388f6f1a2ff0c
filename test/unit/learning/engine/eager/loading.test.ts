import { expect, it } from 'vitest';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import { scalar } from '../../../../../protocol/tensors.ts';

// alone in its file, since a backend is loaded once per process
it('a backend may be loaded while another one trains', async () => {
  const cpu = await eagerEngine('cpu');
  const executable = await cpu.load({
    name: 'test:add',
    inputs: { x: { shape: [], dtype: 'float32' } },
    run: ({ tf }, { x }) => ({ y: tf.add(x!, tf.scalar(1)) }),
  });
  let loaded = false;
  const loading = eagerEngine('wasm').then((engine) => {
    loaded = true;
    return engine;
  });
  let runs = 0;
  for (; !loaded || runs < 10; runs++) {
    expect((await executable.run({ x: scalar(runs) })).y!.data[0]).toBe(runs + 1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await loading).name).toBe('eager:wasm');
  await cpu.close();
});
