import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  asBytes,
  compareBytes,
  concat,
  equalBytes,
  fromBase64Url,
  fromHex,
  readU32le,
  toBase64Url,
  toHex,
  toWords,
  u32le,
} from '../../../protocol/bytes.ts';

const bytes = fc.uint8Array({ maxLength: 70 });

describe('text forms', () => {
  test('agree with Node and come back', () => {
    fc.assert(
      fc.property(bytes, (b) => {
        expect(toHex(b)).toBe(Buffer.from(b).toString('hex'));
        expect(toBase64Url(b)).toBe(Buffer.from(b).toString('base64url'));
        expect(fromHex(toHex(b))).toEqual(b);
        expect(fromBase64Url(toBase64Url(b))).toEqual(b);
      }),
    );
  });

  test.each(['0', 'AB', 'zz', ' 00'])('hex refuses %j', (text) => {
    expect(() => fromHex(text)).toThrow(RangeError);
  });

  // 'AB' decodes to the same byte as 'AA': only one of them is canonical.
  test.each(['A', 'AB', 'AA==', 'A+/A', 'AA\n'])('base64url refuses %j', (text) => {
    expect(() => fromBase64Url(text)).toThrow(RangeError);
  });
});

describe('order and equality', () => {
  test('agree with Buffer.compare', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0);
        expect(equalBytes(a, a.slice())).toBe(true);
      }),
    );
  });

  test('bytes are unsigned', () => {
    expect(compareBytes(Uint8Array.of(0x80), Uint8Array.of(0x7f))).toBeGreaterThan(0);
  });
});

describe('words', () => {
  test('little-endian, there and back', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), (n) => {
        const buffer = Buffer.alloc(4);
        buffer.writeUInt32LE(n);
        expect(u32le(n)).toEqual(new Uint8Array(buffer));
        expect(readU32le(concat(Uint8Array.of(9), u32le(n)), 1)).toBe(n);
      }),
    );
  });

  test('a view shares memory, words are a copy at any alignment', () => {
    const source = Int32Array.of(1, -2, 3);
    asBytes(source)[0] = 7;
    expect(source[0]).toBe(7);
    const shifted = concat(Uint8Array.of(0), asBytes(source)).subarray(1);
    expect(toWords(shifted)).toEqual(Int32Array.of(7, -2, 3));
  });
});
