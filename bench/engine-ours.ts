/** Tacit's own engines in Node as contenders: `compiled`, and the eager one on tfjs's backends. */
import { compiledEngine } from '../learning/engine/compiled.ts';
import { eagerEngine } from '../learning/engine/eager.ts';
import { probeTensorFlow } from '../learning/engine/eager-tensorflow.ts';
import type { Engine } from '../learning/engine/engine.ts';
import type { Contender, Contenders, Run } from './engine-contender.ts';
import { BATCH, prepare, STEPS, type StepName } from './engine-steps.ts';

/** An engine with a step loaded; it is closed with the contender. */
async function contender(
  name: string,
  step: StepName,
  threads: number,
  engine: Engine,
  batch = BATCH,
): Promise<Contender> {
  const { program, state, feeds } = prepare(STEPS[step](batch));
  const executable = await engine.load(program);
  await executable.set(state);
  const measure = async (runs: number): Promise<Run[]> => {
    const times: Run[] = [];
    for (let i = 0; i < runs; i++) {
      const [before, cpu] = [performance.now(), process.cpuUsage()];
      await executable.run(feeds);
      const ms = performance.now() - before;
      const { user, system } = process.cpuUsage(cpu);
      times.push({ ms, cpuMs: (user + system) / 1000 });
    }
    return times;
  };
  return { engine: name, threads, ...(batch === BATCH ? {} : { batch }), measure, close: () => engine.close() };
}

export const compiled: Contenders = async (step, threads) =>
  Promise.all(
    threads.map(async (count) => contender('compiled', step, count, await compiledEngine({ threads: count }))),
  );

/** tfjs's wasm backend takes seconds for a convolution's gradient: it is timed where there is none. */
export const eagerWasm: Contenders = async (step) =>
  step === 'spectral-mlp' ? [await contender('eager:wasm', step, 1, await eagerEngine('wasm'))] : [];

const SMALL_BATCH = { 'simclr-conv4': 2, 'vicreg-resnet8': 2, 'spectral-mlp': BATCH } as const satisfies Record<
  StepName,
  number
>;

/** Plain JavaScript, on a smaller batch. */
export const eagerCpu: Contenders = async (step) => [
  await contender('eager:cpu', step, 1, await eagerEngine('cpu'), SMALL_BATCH[step]),
];

/** The native binding of TensorFlow, where it is installed; its threads are set once per process, by its own variable. */
export const eagerTensorFlow: Contenders = async (step) => {
  const native = await probeTensorFlow();
  const threads = Number(process.env.TF_NUM_INTRAOP_THREADS ?? 1);
  return native.available ? [await contender('eager:tfjs-node', step, threads, await eagerEngine('tensorflow'))] : [];
};
