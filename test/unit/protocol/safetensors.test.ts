import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, fromUtf8, toHex, utf8 } from '../../../protocol/bytes.ts';
import { assertFinite, checkAgainst, decodeSafetensors, encodeSafetensors } from '../../../protocol/safetensors.ts';
import { float32, int32, type NamedArrays } from '../../../protocol/tensors.ts';

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const example: NamedArrays = {
  'encoder/b': float32([2, 2], Float32Array.of(1, -2, 0.5, 1e-40)),
  'encoder/a': int32([3], Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31))),
  scalar: float32([], Float32Array.of(7)),
  empty: float32([0, 5]),
};

/** A file with any header text in front of some data. */
const fileOf = (header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const text = utf8(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return concat(length, text, data);
};
const entry = (shape: number[], offsets: number[], dtype = 'F32') => ({ dtype, shape, data_offsets: offsets });

describe('[MF1] writing', () => {
  test('is one byte sequence, whatever the order of insertion', () => {
    const reversed = Object.fromEntries(Object.entries(example).reverse());
    const bytes = encodeSafetensors(example, { b: '2', a: '1' });
    expect(toHex(encodeSafetensors(reversed, { a: '1', b: '2' }))).toBe(toHex(bytes));
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(headerBytes % 8).toBe(0);
    expect(fromUtf8(bytes.subarray(8, 8 + headerBytes)).trimEnd()).toBe(
      '{"__metadata__":{"a":"1","b":"2"},"empty":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},' +
        '"encoder/a":{"dtype":"I32","shape":[3],"data_offsets":[0,12]},' +
        '"encoder/b":{"dtype":"F32","shape":[2,2],"data_offsets":[12,28]},' +
        '"scalar":{"dtype":"F32","shape":[],"data_offsets":[28,32]}}',
    );
  });

  test('sorts names by their bytes: upper case before lower, digits as characters', () => {
    const arrays = Object.fromEntries(['b/10', 'b/9', 'B', 'a', '_'].map((name) => [name, float32([])]));
    const header = fromUtf8(encodeSafetensors(arrays).subarray(8));
    expect([...header.matchAll(/"([^"]+)":\{/g)].map(([, name]) => name)).toEqual(['B', '_', 'a', 'b/10', 'b/9']);
  });

  test.each(['', 'a"b', 'a\\b', 'ü', 'a\n', '__proto__', 'x'.repeat(201)])('refuses the name %j', (name) => {
    expect(() =>
      encodeSafetensors(JSON.parse(`{${JSON.stringify(name)}:{"shape":[],"dtype":"float32","data":[0]}}`)),
    ).toThrow(code('weights/malformed'));
  });

  test('refuses a length that does not fit the shape', () => {
    expect(() => encodeSafetensors({ a: float32([3], new Float32Array(2)) })).toThrow(code('weights/malformed'));
  });
});

describe('[MF2] reading', () => {
  const arrays = fc.dictionary(
    fc.stringMatching(/^[a-z][a-z0-9/_.]{0,12}$/),
    fc.oneof(
      fc.float32Array({ maxLength: 30 }).map((data) => float32([data.length], data)),
      fc.int32Array({ minLength: 6, maxLength: 6 }).map((data) => int32([2, 1, 3], data)),
    ),
    { maxKeys: 6 },
  );

  test('gives back every bit, at any alignment', () => {
    fc.assert(
      fc.property(arrays, fc.nat(7), (named, shift) => {
        const bytes = encodeSafetensors(named, { k: 'v' });
        const moved = concat(new Uint8Array(shift), bytes).subarray(shift);
        const decoded = decodeSafetensors(moved);
        expect(decoded.metadata).toEqual({ k: 'v' });
        expect(Object.keys(decoded.arrays)).toEqual(Object.keys(named).sort());
        expect(toHex(encodeSafetensors(decoded.arrays, decoded.metadata))).toBe(toHex(bytes));
      }),
    );
  });

  test('takes files that others wrote: other order, spaces, no padding', () => {
    const header = ` {"z": ${JSON.stringify(entry([1], [4, 8], 'I32'))} , "a":${JSON.stringify(entry([1, 1], [0, 4]))}}`;
    const data = concat(new Uint8Array(Float32Array.of(2.5).buffer), new Uint8Array(Int32Array.of(-3).buffer));
    expect(decodeSafetensors(fileOf(header, data)).arrays).toEqual({
      a: float32([1, 1], Float32Array.of(2.5)),
      z: int32([1], Int32Array.of(-3)),
    });
  });

  test('refuses every cut, and bytes that are too many', () => {
    const bytes = encodeSafetensors(example);
    for (let n = 0; n < bytes.length; n++) {
      expect(() => decodeSafetensors(bytes.subarray(0, n)), `${n}`).toThrow(code('weights/malformed'));
    }
    expect(() => decodeSafetensors(concat(bytes, Uint8Array.of(0)))).toThrow(code('weights/malformed'));
  });

  const four = new Uint8Array(4);
  const eight = new Uint8Array(8);
  test.each<[string, Uint8Array]>([
    ['a header that is not JSON', fileOf('{')],
    ['a header that is a list', fileOf('[]')],
    ['a header that is not UTF-8', concat(fileOf('').fill(1, 0, 1), Uint8Array.of(0xff))],
    ['a header longer than 16 MiB', concat(Uint8Array.of(1, 0, 0, 1, 0, 0, 0, 0), four)],
    ['a header length above 2⁵³', concat(new Uint8Array(8).fill(255), four)],
    ['a type that is not read', fileOf(JSON.stringify({ a: entry([1], [0, 4], 'F16') }), four)],
    ['a type that every object has', fileOf(JSON.stringify({ a: entry([1], [0, 4], 'constructor') }), four)],
    ['a negative dimension', fileOf(JSON.stringify({ a: entry([-1, -1], [0, 4]) }), four)],
    ['a fractional dimension', fileOf(JSON.stringify({ a: entry([0.5, 2], [0, 4]) }), four)],
    ['nine dimensions', fileOf(JSON.stringify({ a: entry(Array(9).fill(1), [0, 4]) }), four)],
    ['a shape whose size is not its length', fileOf(JSON.stringify({ a: entry([2], [0, 4]) }), four)],
    ['offsets that run backwards', fileOf(JSON.stringify({ a: entry([1], [4, 0]) }), four)],
    ['three offsets', fileOf(JSON.stringify({ a: entry([1], [0, 4, 8]) }), four)],
    ['a key too many', fileOf(JSON.stringify({ a: { ...entry([1], [0, 4]), x: 1 } }), four)],
    ['an entry that is no object', fileOf('{"a":1}')],
    ['overlapping tensors', fileOf(JSON.stringify({ a: entry([1], [0, 4]), b: entry([1], [0, 4]) }), four)],
    ['a hole between tensors', fileOf(JSON.stringify({ a: entry([1], [4, 8]) }), eight)],
    ['data that no tensor uses', fileOf(JSON.stringify({ a: entry([1], [0, 4]) }), eight)],
    ['data beyond the end', fileOf(JSON.stringify({ a: entry([2], [0, 8]) }), four)],
    ['__proto__ as name', fileOf(`{"__proto__":${JSON.stringify(entry([1], [0, 4]))}}`, four)],
    ['metadata that is not text', fileOf('{"__metadata__":{"a":1}}')],
    ['metadata that is a list', fileOf('{"__metadata__":["a"]}')],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(code('weights/malformed'));
  });
});

describe('[MF3] checks', () => {
  const specs = { 'encoder/b': { shape: [2, 2], dtype: 'float32' }, scalar: { shape: [], dtype: 'float32' } } as const;

  test('arrays against specs: missing, left over, of another shape or type', () => {
    const good = { 'encoder/b': float32([2, 2]), scalar: float32([]) };
    expect(() => checkAgainst(good, specs)).not.toThrow();
    const mismatch = (arrays: NamedArrays, text: string) =>
      expect(() => checkAgainst(arrays, specs)).toThrow(
        expect.objectContaining({ code: 'weights/mismatch', message: expect.stringContaining(text) }),
      );
    mismatch({ scalar: float32([]) }, 'encoder/b is missing');
    mismatch({ ...good, more: float32([]) }, 'more is not expected');
    mismatch({ ...good, 'encoder/b': float32([4]) }, 'float32[4] instead of float32[2, 2]');
    mismatch({ ...good, scalar: int32([]) }, 'int32[] instead of float32[]');
    mismatch(Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x${i}`, float32([])])), 'and 6 more');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%d is not finite', (bad) => {
    expect(() => assertFinite(example)).not.toThrow();
    expect(() => assertFinite({ ...example, bad: float32([2], Float32Array.of(0, bad)) })).toThrow(
      expect.objectContaining({ code: 'weights/not-finite', where: 'bad' }),
    );
  });
});
