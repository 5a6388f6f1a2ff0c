import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

test('frames are coded without compiling code, as a page without `unsafe-eval` requires', async () => {
  const compiled: unknown[][] = [];
  const refuse = (...source: unknown[]): never => {
    compiled.push(source);
    throw new EvalError('blocked by the content security policy');
  };
  vi.resetModules();
  vi.stubGlobal(
    'Function',
    new Proxy(Function, { apply: (_, __, args) => refuse(...args), construct: (_, args) => refuse(...args) }),
  );
  vi.stubGlobal('eval', refuse);
  const { encodeFrame, decodeClientFrame, decodeServerFrame } = await import('../../../protocol/codec.ts');
  const blobs = Array.from({ length: 16 }, (_, i) => ({ name: `b${i}`, hash: new Uint8Array(32), bytes: i }));
  const exchange = { offerHash: new Uint8Array(32), index: 0, blobs, signature: new Uint8Array(64) };
  for (let i = 0; i < 50; i++) {
    expect(decodeClientFrame(encodeFrame({ type: 'bye', id: i })).message).toEqual({ type: 'bye', id: i });
    expect(decodeServerFrame(encodeFrame({ type: 'exchange', exchange })).message).toEqual({
      type: 'exchange',
      exchange,
    });
  }
  expect(compiled).toEqual([]);
  expect(() => new Function('return 1')).toThrow(EvalError);
});
