/** Models that the writer makes, read back by ONNX Runtime; ONNX's own checker reads them in test/unit/learning/export. */
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { compile } from '../../../../../learning/engine/compile.ts';
import { float32Type, graphBuilder } from '../../../../../learning/engine/onnx/graph.ts';
import { message } from '../../../../../learning/engine/onnx/protobuf.ts';
import { writeModel } from '../../../../../learning/engine/onnx/writer.ts';
import { trainProgram } from '../../../../../learning/train-step.ts';
import { CASES, planOf } from '../compiled/plans.ts';

describe('protobuf', () => {
  it('encodes as the format documents it', () => {
    // the examples of protobuf.dev: field 1 = 150; field 2 = "testing"; and a negative varint of ten bytes
    expect([...message().int(1, 150).finish()]).toEqual([0x08, 0x96, 0x01]);
    expect([...message().text(2, 'testing').finish()]).toEqual([0x12, 7, ...Buffer.from('testing')]);
    expect([...message().int(1, -1).finish()]).toEqual([0x08, ...Array(9).fill(0xff), 0x01]);
    expect([...message().float(1, 1).finish()]).toEqual([0x0d, 0, 0, 0x80, 0x3f]);
  });
});

describe('writeModel', () => {
  it('gives inputs that are outputs, outputs that are constants, and two names of one value', async () => {
    const g = graphBuilder('odd');
    const x = g.input('x', float32Type([2]));
    const big = g.constant({ dtype: 'float32', shape: [100], data: Float32Array.of(3) });
    const y = g.node('Neg', [x], float32Type([2]));
    const outputs = { x, big, y, again: y };
    const graph = g.finish(Object.entries(outputs).map(([name, value]) => ({ name, value })));
    const session = await ort.InferenceSession.create(writeModel(graph));
    expect(session.inputNames).toEqual(['in:x']);
    const results = await session.run({ 'in:x': new ort.Tensor('float32', Float32Array.of(1, 2), [2]) });
    expect([...(results['out:x']!.data as Float32Array)]).toEqual([1, 2]);
    expect(results['out:big']!.data).toEqual(new Float32Array(100).fill(3));
    expect([...(results['out:again']!.data as Float32Array)]).toEqual([-1, -2]);
    await session.release();
  });

  it('writes uniform constants as nodes, not as numbers', () => {
    const g = graphBuilder('small');
    const ones = g.constant({ dtype: 'float32', shape: [1000, 1000], data: new Float32Array(1e6).fill(1) });
    const x = g.input('x', float32Type([1000, 1000]));
    const graph = g.finish([{ name: 'y', value: g.node('Add', [x, ones], float32Type([1000, 1000])) }]);
    expect(writeModel(graph).length).toBeLessThan(1000);
  });

  it('names symbolic dimensions', async () => {
    const g = graphBuilder('symbolic');
    const x = g.input('x', float32Type([1, 3]));
    const graph = g.finish([{ name: 'y', value: g.node('Relu', [x], float32Type([1, 3])) }]);
    const bytes = writeModel(graph, {
      symbolic: new Map([
        [x, { 0: 'batch' }],
        [graph.outputs[0]!.value, { 0: 'batch' }],
      ]),
    });
    const session = await ort.InferenceSession.create(bytes);
    expect(session.inputMetadata[0]).toMatchObject({ shape: ['batch', 3] });
    const { 'out:y': y } = await session.run({ 'in:x': new ort.Tensor('float32', new Float32Array(15), [5, 3]) });
    expect(y!.dims).toEqual([5, 3]);
    await session.release();
  });

  it('refuses operators of our own', () => {
    const g = graphBuilder('unlowered');
    const x = g.input('x', float32Type([1]));
    const graph = g.finish([{ name: 'y', value: g.node('GroupNorm', [x], float32Type([1]), {}, 'tacit') }]);
    expect(() => writeModel(graph)).toThrow('GroupNorm was not lowered');
  });
});

describe('models of training steps', () => {
  it.each(CASES)('$pretext with $encoder: the same bytes twice', (entry) => {
    const program = trainProgram(planOf(entry));
    expect(Buffer.compare(compile(program).bytes, compile(program).bytes)).toBe(0);
  });
});
