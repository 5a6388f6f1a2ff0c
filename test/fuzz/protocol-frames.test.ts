/**
 * Hostile frames: whatever the bytes, decoding gives a message or a TacitError with a wire code, soon and in little memory.
 * fast-check prints the seed of a failure; add it to SEEDS to keep it.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, u32le } from '../../protocol/bytes.ts';
import { decodeClientFrame, decodeServerFrame, encodeFrame } from '../../protocol/codec.ts';
import { TacitError } from '../../protocol/errors.ts';
import { clientMessage, serverMessage } from '../../protocol/messages.ts';
import { decodeStrict, packHeader } from '../../protocol/msgpack.ts';

const SEEDS = [1, 20_240_917, 977];

/** The only two ways in which decoding may end. */
function decodes(decode: (frame: Uint8Array) => { message: unknown }, frame: Uint8Array): unknown {
  try {
    return decode(frame).message;
  } catch (error) {
    if (error instanceof TacitError && (error.code === 'wire/malformed' || error.code === 'wire/too-large'))
      return error.code;
    throw error;
  }
}

const hash = new Uint8Array(32).fill(3);
const valid = [
  encodeFrame({ type: 'put', id: 7, hash, offset: 5 }, new Uint8Array(40)),
  encodeFrame({ type: 'upload', id: 7, offerHash: hash, exchange: 0, suite: 'nacl-box', hash, bytes: 1000 }),
  encodeFrame({
    type: 'exchange',
    exchange: { offerHash: hash, index: 0, blobs: [{ name: 'model', hash, bytes: 9 }], signature: new Uint8Array(64) },
  }),
  encodeFrame({ type: 'error', code: 'internal', text: 'x', supportedVersions: [1] }),
];

/** MessagePack-like bytes: tokens of every kind with lengths that lie. */
const tokens = fc.oneof(
  fc.constantFrom(
    'dcffff',
    'ddffffffff',
    'dfffffffff',
    'c6ffffffff',
    'dbffffffff',
    '9f',
    '8f',
    '81a161',
    'c4ff',
    'd46900',
    'd6700000000'.slice(0, 10),
    'c70062',
    'd47200',
    'c1',
    'cb7ff8000000000000',
    'ca7f800000',
    'cfffffffffffffffff',
  ),
  fc.integer({ min: 0, max: 255 }).map((byte) => byte.toString(16).padStart(2, '0')),
);

describe.each(SEEDS)('seed %i', (seed) => {
  test('random bytes as header', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (header) => {
        decodes(decodeClientFrame, concat(u32le(header.length), header));
        decodes(decodeServerFrame, concat(u32le(header.length), header));
      }),
      { seed, numRuns: 1500 },
    );
  });

  test('rows of tokens as header', () => {
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 60 }), (hex) => {
        const header = fromHex(hex.join(''));
        decodes(decodeServerFrame, concat(u32le(header.length), header));
        let value: unknown;
        try {
          value = decodeStrict(header);
        } catch (error) {
          expect(error).toMatchObject({ code: 'wire/malformed' });
          return;
        }
        expect(isPlain(value)).toBe(true);
      }),
      { seed, numRuns: 1500 },
    );
  });

  test('valid frames with bytes changed, cut, doubled', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...valid),
        fc.nat(),
        fc.nat(255),
        fc.nat(),
        fc.nat(3),
        (frame, at, byte, cut, how) => {
          const broken = frame.slice();
          broken[at % broken.length] = byte;
          const forms = [broken, frame.subarray(0, cut % frame.length), concat(frame, broken), concat(broken, frame)];
          for (const [decode, schema] of [
            [decodeClientFrame, clientMessage],
            [decodeServerFrame, serverMessage],
          ] as const) {
            const result = decodes(decode, forms[how]!);
            if (typeof result === 'object') expect(schema.safeParse(result).success).toBe(true);
          }
        },
      ),
      { seed, numRuns: 3000 },
    );
  });
});

/** What a header may hold once decoded. */
function isPlain(value: unknown): boolean {
  if (['number', 'string', 'boolean'].includes(typeof value)) return true;
  if (value instanceof Uint8Array) return Object.getPrototypeOf(value) === Uint8Array.prototype;
  if (Array.isArray(value)) return value.every(isPlain);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  return Object.values(value).every(isPlain);
}

describe('payloads that were measured to hurt MessagePack readers', () => {
  const fill = (hex: string, bytes: number): Uint8Array => fromHex(hex.repeat(bytes / (hex.length / 2)));
  const binWithTail = (megabytes: number): Uint8Array => {
    const length = megabytes * 2 ** 20;
    const bytes = new Uint8Array(5 + length + 1);
    bytes[0] = 0xc6;
    new DataView(bytes.buffer).setUint32(1, length);
    return bytes;
  };
  const payloads: Record<string, Uint8Array> = {
    'nested array16 headers': fill('dcffff', 65_535),
    'nested array32 headers of 30 million': fill('dd01c9c380', 65_535),
    'forty bytes of them': fill('dd01c9c380', 40),
    'nested map32 headers': fill('dfffffffff', 65_535),
    'deep nesting of lists': fill('91', 65_535),
    'deep nesting of maps': fill('81a161', 65_535),
    'a bigint of 60 KB': concat(fromHex('c9'), Uint8Array.of(0, 0, 0xea, 0x60, 0x42), new Uint8Array(60_000).fill(255)),
    'a self-reference': fromHex('c7056900000000c0d67000000000'),
    'many empty maps': concat(fromHex('dd0000f000'), new Uint8Array(0xf000).fill(0x80)),
  };

  test.each(Object.keys(payloads))('%s: refused at once, without memory', (name) => {
    const payload = payloads[name]!;
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) {
      expect(decodes(decodeClientFrame, concat(u32le(payload.length), payload))).toBe('wire/malformed');
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 2 ** 20);
  });

  test('60 MB with one byte after it: refused by its length, never printed', () => {
    const payload = binWithTail(60);
    const before = process.memoryUsage().rss;
    expect(() => decodeStrict(payload)).toThrow(expect.objectContaining({ code: 'wire/too-large' }));
    expect(() => decodeStrict(payload, payload.length)).toThrow(expect.objectContaining({ code: 'wire/malformed' }));
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
  });

  test('the decoder still works', () => {
    expect(decodeStrict(packHeader({ a: [1, 'b'] }))).toEqual({ a: [1, 'b'] });
  });
});
