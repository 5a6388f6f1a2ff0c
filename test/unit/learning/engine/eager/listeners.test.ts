import { expect, it } from 'vitest';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';

// alone in its file, since the backend is loaded once per process
it('adds no listener to the process, so that a rejection elsewhere stays what it is', async () => {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.listeners(event as 'uncaughtException'));
  const engine = await eagerEngine('wasm');
  expect(events.map((event) => process.listeners(event as 'uncaughtException'))).toEqual(before);
  await engine.close();
});
