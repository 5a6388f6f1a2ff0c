import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, utf8 } from '../../../protocol/bytes.ts';
import {
  bool,
  canon,
  decodeCanon,
  f64,
  fixed,
  identifier,
  list,
  text,
  u8,
  u16,
  u32,
  u64,
} from '../../../protocol/canon.ts';

test('the layout, byte for byte', () => {
  expect(toHex(canon('offer', u8(1), text('é'), new Uint8Array(0)))).toBe(
    `${toHex(utf8('fsa/1/offer'))}00${'0100000001'}${'02000000c3a9'}${'00000000'}`,
  );
  expect(toHex(list('tasks', [identifier('a')]))).toBe(`${toHex(utf8('fsa/1/tasks'))}000100000061`);
});

test('numbers are little-endian', () => {
  expect(toHex(u16(0x1234))).toBe('3412');
  expect(toHex(u32(0x12345678))).toBe('78563412');
  expect(toHex(u64(2 ** 53 - 1))).toBe('ffffffffffff1f00');
  expect(toHex(f64(1.5))).toBe('000000000000f83f');
  expect([...bool(true), ...bool(false)]).toEqual([1, 0]);
});

test.each([
  ['u8', () => u8(256)],
  ['u8 of a fraction', () => u8(0.5)],
  ['u16', () => u16(-1)],
  ['u32', () => u32(2 ** 32)],
  ['u64', () => u64(2 ** 53)],
  ['NaN', () => f64(Number.NaN)],
  ['−0', () => f64(-0)],
  ['a lone surrogate', () => text('\ud800')],
  ['an identifier with a space', () => identifier('a b')],
  ['an empty identifier', () => identifier('')],
  ['a key of 31 bytes', () => fixed(32, new Uint8Array(31))],
  ['a label with a capital', () => canon('Offer')],
  ['a label with a zero byte', () => canon('a\0b')],
])('refuses %s', (_, make) => {
  expect(make).toThrow(RangeError);
});

describe('decoding', () => {
  const fields = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });

  test('gives back the fields', () => {
    fc.assert(
      fc.property(fields, (f) => {
        expect(decodeCanon('cert', canon('cert', ...f))).toEqual(f);
      }),
    );
  });

  test('different tuples have different bytes', () => {
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        const same = a.length === b.length && a.every((f, i) => toHex(f) === toHex(b[i]!));
        expect(toHex(canon('x', ...a)) === toHex(canon('x', ...b))).toBe(same);
      }),
    );
  });

  test('refuses another label, cut bytes and bytes that are too many', () => {
    const bytes = canon('cert', Uint8Array.of(1, 2, 3));
    expect(() => decodeCanon('certs', bytes)).toThrow('not canonical');
    expect(() => decodeCanon('cer', bytes)).toThrow('not canonical');
    for (let n = 0; n < bytes.length; n++) {
      if (n !== 'fsa/1/cert'.length + 1)
        expect(() => decodeCanon('cert', bytes.subarray(0, n))).toThrow('not canonical');
    }
    expect(() => decodeCanon('cert', new Uint8Array([...bytes, 0]))).toThrow('not canonical');
    expect(() => decodeCanon('x', fromHex(`${toHex(utf8('fsa/1/x'))}00ffffffff`))).toThrow('not canonical');
  });
});
