/** Which blocked layout ONNX Runtime's convolutions have on this processor (rewrites/blocked-layout.ts). */
import * as ort from 'onnxruntime-node';
import { float32Type, graphBuilder } from './onnx/graph.ts';
import { writeModel } from './onnx/writer.ts';
import { blockedLayout } from './rewrites/blocked-layout.ts';

const CHANNELS = 64;
const BLOCKS: readonly number[] = [8, 16, 32];

/** Reorders two pixels of many channels: the second pixel's first channel comes after one block of the first pixel. */
async function probe(): Promise<number> {
  const shape = [1, CHANNELS, 1, 2];
  const g = graphBuilder('block');
  const x = g.input('x', float32Type(shape));
  const bytes = writeModel(g.finish([{ name: 'y', value: blockedLayout(g, 1).toBlocked(x) }]));
  // Without the layout there is no such operator: an error is the answer, and nothing to tell anyone.
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  const data = Float32Array.from({ length: 2 * CHANNELS }, (_, i) => i);
  const { 'out:y': y } = await session.run({ 'in:x': new ort.Tensor('float32', data, shape) });
  await session.release();
  const block = (y!.data as Float32Array).indexOf(1);
  return BLOCKS.includes(block) ? block : 0;
}

let found: Promise<number> | undefined;

/** Channels in a block; 0 where ONNX Runtime has no such layout. Found once per process. */
export function blockOfChannels(): Promise<number> {
  found ??= probe().catch(() => 0);
  return found;
}
