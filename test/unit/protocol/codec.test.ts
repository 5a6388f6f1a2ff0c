import { Packr } from 'msgpackr/index-no-eval';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, u32le, utf8 } from '../../../protocol/bytes.ts';
import { decodeClientFrame, decodeServerFrame, encodeFrame } from '../../../protocol/codec.ts';
import type { ClientMessage } from '../../../protocol/messages.ts';
import { decodeStrict, packHeader } from '../../../protocol/msgpack.ts';
import { LIMITS } from '../../../protocol/transport.ts';

const hash = new Uint8Array(32).fill(7);
const put = { type: 'put', id: 3, hash, offset: 262_144 } as const;
const hello: ClientMessage & { type: 'hello' } = {
  type: 'hello',
  id: 1,
  versions: [1],
  nonce: hash,
  software: 'test',
  capabilities: { suites: ['nacl-box'], engine: 'none', platform: 'other' },
};

/** A frame with a header that the typed encoder would not make. */
const frameOf = (header: object | Uint8Array, body: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const bytes = header instanceof Uint8Array ? header : packHeader(header);
  return concat(u32le(bytes.length), bytes, body);
};
const code = (wanted: string) => expect.objectContaining({ code: wanted });

describe('frames', () => {
  test('come back with their body', () => {
    const body = Uint8Array.of(1, 2, 3);
    const { message, body: received } = decodeClientFrame(encodeFrame(put, body));
    expect(message).toEqual(put);
    expect(received).toEqual(body);
    expect(decodeClientFrame(encodeFrame({ type: 'bye', id: 9 }))).toEqual({ message: { type: 'bye', id: 9 } });
  });

  test('are read from a Buffer and from the middle of a larger array', () => {
    const frame = encodeFrame(put, Uint8Array.of(5));
    const inside = concat(new Uint8Array(13), frame, new Uint8Array(9)).subarray(13, 13 + frame.length);
    for (const form of [Buffer.from(frame), inside]) {
      const { message, body } = decodeClientFrame(form);
      expect(message).toEqual(put);
      expect([...(body ?? [])]).toEqual([5]);
      expect((message as typeof put).hash.buffer.byteLength).toBe(32);
    }
  });

  test('leave out what is undefined', () => {
    const frame = encodeFrame({ type: 'error', re: undefined, code: 'internal', text: '' } as never);
    expect(decodeServerFrame(frame).message).toEqual({ type: 'error', code: 'internal', text: '' });
  });

  test('[FR8] have at most 64 KiB of header and 1 MiB of body, in both directions', () => {
    const largest = new Uint8Array(LIMITS.bodyBytes);
    expect(decodeClientFrame(encodeFrame(put, largest)).body?.length).toBe(LIMITS.bodyBytes);
    expect(() => encodeFrame(put, new Uint8Array(LIMITS.bodyBytes + 1))).toThrow(code('wire/too-large'));
    expect(() => decodeClientFrame(frameOf(put, new Uint8Array(LIMITS.bodyBytes + 1)))).toThrow(code('wire/too-large'));
    expect(() => decodeClientFrame(new Uint8Array(LIMITS.frameBytes + 1))).toThrow(code('wire/too-large'));
    expect(() => encodeFrame({ ...hello, software: 'x'.repeat(70_000) })).toThrow(code('wire/too-large'));
    expect(() => decodeClientFrame(frameOf(new Uint8Array(LIMITS.headerBytes + 1)))).toThrow(code('wire/too-large'));
    const lying = concat(u32le(0xffffffff), new Uint8Array(100));
    expect(() => decodeClientFrame(lying)).toThrow(code('wire/too-large'));
  });

  test('[FR1] of every cut length are refused', () => {
    const frame = encodeFrame(put, Uint8Array.of(1));
    for (let n = 0; n < frame.length; n++) {
      expect(() => decodeClientFrame(frame.subarray(0, n)), `${n} bytes`).toThrow(code('wire/malformed'));
    }
  });

  test('[FR4] carry a body exactly when their message has one', () => {
    expect(() => decodeClientFrame(encodeFrame(put))).toThrow(code('wire/malformed'));
    expect(() => decodeClientFrame(encodeFrame({ type: 'bye', id: 1 }, Uint8Array.of(1)))).toThrow(
      code('wire/malformed'),
    );
    const chunk = { type: 'chunk', re: 1, hash, offset: 0, bytes: 1 } as const;
    expect(() => decodeServerFrame(encodeFrame(chunk))).toThrow(code('wire/malformed'));
  });

  test('are taken in their own direction only', () => {
    expect(() => decodeServerFrame(encodeFrame({ type: 'bye', id: 1 }))).toThrow(code('wire/malformed'));
    expect(() => decodeClientFrame(encodeFrame({ type: 'ok', re: 1 }))).toThrow(code('wire/malformed'));
  });
});

describe('[FR3] [FR7] schemas', () => {
  test.each<[string, object]>([
    ['an unknown type', { type: 'nothing', id: 1 }],
    ['no type', { id: 1 }],
    ['a missing key', { type: 'bye' }],
    ['a key too many', { type: 'bye', id: 1, also: 1 }],
    ['a fraction', { type: 'bye', id: 1.5 }],
    ['a negative id', { type: 'bye', id: -1 }],
    ['an id above 2³² − 1', { type: 'bye', id: 2 ** 32 }],
    ['text for a number', { type: 'bye', id: '1' }],
    ['a hash of 31 bytes', { ...put, hash: new Uint8Array(31) }],
    ['a hash as text', { ...put, hash: 'x'.repeat(32) }],
    ['an unknown error code', { type: 'decline', id: 1, offerHash: hash, code: 'no/such', text: '' }],
    ['a code that every object has', { type: 'decline', id: 1, offerHash: hash, code: 'constructor', text: '' }],
    ['a task that is no identifier', { type: 'join', id: 1, task: 'a b' }],
    ['a list for the message', [1, 2]],
  ])('refuse %s', (_, header) => {
    expect(() => decodeClientFrame(frameOf(header))).toThrow(code('wire/malformed'));
  });

  test('[NG2] ignore unknown keys of hello only', () => {
    const later = { ...hello, versions: [2], future: { x: 1 }, capabilities: { ...hello.capabilities, gpu: 'yes' } };
    expect(decodeClientFrame(frameOf(later)).message).toEqual({ ...hello, versions: [2] });
  });

  test('say nothing of what was sent', () => {
    const secret = { type: 'bye', id: 1, 'a-secret-key': 'a-secret-value' };
    expect(() => decodeClientFrame(frameOf(secret))).toThrow(/^(?!.*secret)/);
  });
});

describe('[FR2] [FR3] header grammar', () => {
  const records = new Packr({ useRecords: true, moreTypes: true, structuredClone: true });
  const bare = (hex: string) => fromHex(hex.replaceAll(' ', ''));

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['nil', bare('c0')],
    ['the never-used byte', bare('c1')],
    ['float32', bare('ca 3f800000')],
    ['a Date', new Packr().pack({ a: new Date() })],
    ['a Set', records.pack({ a: new Set([1]) })],
    ['a RegExp', records.pack({ a: /x/ })],
    ['an Error', records.pack({ a: new Error('x') })],
    ['a typed array', records.pack({ a: new Float32Array(3) })],
    ['records', records.pack([{ a: 1 }, { a: 2 }])],
    ['a pointer to an earlier object', bare('82 a161 90 a162 d6 70 00000001')],
    ['bundled strings', bare('c7 05 62 00000000 00')],
    ['a bigint', new Packr({ useBigIntExtension: true }).pack({ a: 2n ** 70n })],
    ['a number as key', bare('81 01 01')],
    ['a list as key', bare('81 90 01')],
    ['__proto__ as key', packHeader(JSON.parse('{"__proto__":{"x":1}}'))],
    ['constructor as key', packHeader({ constructor: 1 })],
    ['the same key twice', bare('82 a161 01 a161 02')],
    ['text that is not UTF-8', bare('a2 c328')],
    ['text cut short', bare('a5 6161')],
    ['bytes cut short', bare('c4 05 6161')],
    ['a list cut short', bare('93 01')],
    ['a length beyond the end', bare('dd ffffffff')],
    ['a map with a length beyond the end', bare('df 7fffffff a161 01')],
    ['a length cut short', bare('dc 00')],
    ['a byte after the value', bare('01 01')],
    ['nesting of nine', bare('91 91 91 91 91 91 91 91 91 01')],
  ])('refuses %s', (_, header) => {
    expect(() => decodeStrict(header)).toThrow(code('wire/malformed'));
  });

  test('takes every form of its subset', () => {
    expect(decodeStrict(bare('91 91 91 91 91 91 91 91 01'))).toEqual([[[[[[[[1]]]]]]]]);
    expect(decodeStrict(bare('9a 7f ff cc80 cd0100 ce00010000 cf0000000100000000 d080 d18000 c2 c3'))).toEqual([
      127,
      -1,
      128,
      256,
      65_536,
      2 ** 32,
      -128,
      -32_768,
      false,
      true,
    ]);
    expect(decodeStrict(bare('92 cb4341c37937e08000 d3ffffffffffffffff'))).toEqual([1e16, -1]);
    expect(decodeStrict(bare('d9 02 c3a9'))).toBe('é');
    expect(decodeStrict(bare('c5 0002 0102'))).toEqual(Uint8Array.of(1, 2));
    expect(decodeStrict(bare('de 0001 a161 dc 0001 da 0001 62'))).toEqual({ a: ['b'] });
  });

  test('gives plain objects', () => {
    const value = decodeStrict(packHeader({ a: { b: 1 } })) as { a: object };
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.getPrototypeOf(value.a)).toBe(Object.prototype);
  });

  test('has a limit of its own', () => {
    expect(() => decodeStrict(packHeader({ a: utf8('x'.repeat(100)) }), 100)).toThrow(code('wire/too-large'));
  });

  test('goes on after a refusal', () => {
    expect(() => decodeStrict(records.pack([{ a: 1 }, { a: 2 }]))).toThrow();
    const message: ClientMessage = { type: 'bye', id: 64 };
    expect(decodeClientFrame(encodeFrame(message)).message).toEqual(message);
  });
});
