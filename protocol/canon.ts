/**
 * Canonical bytes: the fixed binary layouts over which everything is signed and hashed (SPEC.md §4).
 * canon(label, f…) = "fsa/1/<label>" ‖ 00 ‖ for each field u32le(length) ‖ bytes. Never signed: re-encoded msgpack or JSON.
 */
import { concat, equalBytes, readU32le, u32le, utf8 } from './bytes.ts';
import { TacitError } from './errors.ts';
import { IDENTIFIER } from './ids.ts';

const LABEL = /^[a-z0-9-]{1,32}$/;

/** By label: there are some twenty. */
const prefixes = new Map<string, Uint8Array>();

function prefixOf(label: string): Uint8Array {
  const before = prefixes.get(label);
  if (before) return before;
  if (!LABEL.test(label)) throw new RangeError(`not a label: ${label}`);
  const prefix = utf8(`fsa/1/${label}\0`);
  prefixes.set(label, prefix);
  return prefix;
}

/** The canonical bytes of a labelled tuple of fields. */
export function canon(label: string, ...fields: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const prefix = prefixOf(label);
  const bytes = new Uint8Array(fields.reduce((n, field) => n + 4 + field.length, prefix.length));
  const view = new DataView(bytes.buffer);
  bytes.set(prefix);
  let at = prefix.length;
  for (const field of fields) {
    view.setUint32(at, field.length, true);
    bytes.set(field, at + 4);
    at += 4 + field.length;
  }
  return bytes;
}

/** The fields of canonical bytes with this label. @throws TacitError wire/malformed if they are anything else */
export function decodeCanon(label: string, bytes: Uint8Array): Uint8Array[] {
  const malformed = () => new TacitError('wire/malformed', `not canonical bytes of "${label}"`);
  const prefix = prefixOf(label);
  if (!equalBytes(bytes.subarray(0, prefix.length), prefix)) throw malformed();
  const fields: Uint8Array[] = [];
  for (let at = prefix.length; at < bytes.length; ) {
    if (bytes.length - at < 4) throw malformed();
    const length = readU32le(bytes, at);
    if (length > bytes.length - at - 4) throw malformed();
    fields.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return fields;
}

const integer = (value: number, max: number): number => {
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RangeError(`not an integer in 0…${max}: ${value}`);
  return value;
};

export const u8 = (value: number): Uint8Array<ArrayBuffer> => Uint8Array.of(integer(value, 0xff));

export function u16(value: number): Uint8Array<ArrayBuffer> {
  const n = integer(value, 0xffff);
  return Uint8Array.of(n & 0xff, n >>> 8);
}

export const u32 = (value: number): Uint8Array<ArrayBuffer> => u32le(integer(value, 0xffffffff));

/** Numbers up to 2⁵³ − 1, which is all that a JavaScript number counts exactly. */
export function u64(value: number): Uint8Array<ArrayBuffer> {
  const n = integer(value, Number.MAX_SAFE_INTEGER);
  return concat(u32le(n % 2 ** 32), u32le(Math.floor(n / 2 ** 32)));
}

/** @throws RangeError on NaN and −0, of which there are several encodings or meanings */
export function f64(value: number): Uint8Array<ArrayBuffer> {
  if (Number.isNaN(value) || Object.is(value, -0)) throw new RangeError('NaN and −0 have no canonical bytes');
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

/** UTF-8. @throws RangeError on a lone surrogate, which has no UTF-8 */
export function text(value: string): Uint8Array<ArrayBuffer> {
  if (/\p{Surrogate}/u.test(value)) throw new RangeError('not well-formed text');
  return utf8(value);
}

/** An identifier `[A-Za-z0-9._:-]{1,64}`. */
export function identifier(value: string): Uint8Array<ArrayBuffer> {
  if (!IDENTIFIER.test(value)) throw new RangeError('not an identifier');
  return utf8(value);
}

export const bool = (value: boolean): Uint8Array<ArrayBuffer> => Uint8Array.of(value ? 1 : 0);

/** A list inside a structure: one field that holds canon(its own label, one field for each element). */
export const list = (label: string, elements: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  canon(label, ...elements);

/** A field that must have exactly this many bytes: a key, a hash, a nonce. */
export function fixed(length: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
  return bytes;
}
