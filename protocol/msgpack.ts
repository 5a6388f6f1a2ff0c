/**
 * Message headers as a small subset of MessagePack (SPEC.md §3): maps with text keys, arrays, integers, float64, booleans, UTF-8
 * text and byte strings. A guard walks the bytes before msgpackr sees them, because its extension decoders (Date, Set, RegExp,
 * records, pointers) cannot be switched off and its error path prints what it has read.
 */
import { Packr, Unpackr } from 'msgpackr/index-no-eval';
import { fromUtf8 } from './bytes.ts';
import { TacitError } from './errors.ts';
import { LIMITS } from './transport.ts';

const MAX_DEPTH = 8;
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: true,
  structuredClone: false,
  copyBuffers: true,
  int64AsType: 'number',
});

const malformed = (what: string): TacitError => new TacitError('wire/malformed', `header: ${what}`);

/** Length in bytes of a fixed-size scalar by its first byte. */
const SCALARS: Readonly<Record<number, number>> = {
  194: 1, // false
  195: 1, // true
  203: 9, // float64
  204: 2, // uint8
  205: 3,
  206: 5,
  207: 9,
  208: 2, // int8
  209: 3,
  210: 5,
  211: 9,
};

type Kind = 'scalar' | 'text' | 'bytes' | 'array' | 'map';

/** What begins at an offset: the kind, the offset after its head, and its length (bytes, elements or pairs). */
interface Head {
  readonly kind: Kind;
  readonly next: number;
  readonly length: number;
}

/** Heads whose length follows in 1, 2 or 4 big-endian bytes. */
const SIZED: Readonly<Record<number, readonly [Kind, number]>> = {
  196: ['bytes', 1],
  197: ['bytes', 2],
  198: ['bytes', 4],
  217: ['text', 1],
  218: ['text', 2],
  219: ['text', 4],
  220: ['array', 2],
  221: ['array', 4],
  222: ['map', 2],
  223: ['map', 4],
};

function headAt(view: DataView, at: number): Head {
  if (at >= view.byteLength) throw malformed('truncated');
  const token = view.getUint8(at);
  if (token < 0x80 || token >= 0xe0) return { kind: 'scalar', next: at + 1, length: 0 };
  if (token < 0x90) return { kind: 'map', next: at + 1, length: token & 0x0f };
  if (token < 0xa0) return { kind: 'array', next: at + 1, length: token & 0x0f };
  if (token < 0xc0) return { kind: 'text', next: at + 1, length: token & 0x1f };
  const scalar = SCALARS[token];
  if (scalar !== undefined) return { kind: 'scalar', next: at + scalar, length: 0 };
  const sized = SIZED[token];
  if (!sized) throw malformed('a type that no message uses');
  const [kind, width] = sized;
  if (at + 1 + width > view.byteLength) throw malformed('truncated');
  const length = width === 1 ? view.getUint8(at + 1) : width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  return { kind, next: at + 1 + width, length };
}

function textAt(bytes: Uint8Array, head: Head): string {
  try {
    return fromUtf8(bytes.subarray(head.next, head.next + head.length));
  } catch {
    throw malformed('text that is not UTF-8');
  }
}

/** Walks one value and returns the offset after it. */
function walk(bytes: Uint8Array, view: DataView, at: number, depth: number): number {
  const head = headAt(view, at);
  // Every element takes at least one byte, so a length beyond the end is refused before anything is counted up to it.
  const least = head.kind === 'map' ? 2 * head.length : head.length;
  if (head.next + least > bytes.length) throw malformed('truncated');
  if (head.kind === 'scalar') return head.next;
  if (head.kind === 'bytes') return head.next + head.length;
  if (head.kind === 'text') {
    textAt(bytes, head);
    return head.next + head.length;
  }
  if (depth >= MAX_DEPTH) throw malformed('nested too deeply');
  return head.kind === 'array' ? walkArray(bytes, view, head, depth) : walkMap(bytes, view, head, depth);
}

function walkArray(bytes: Uint8Array, view: DataView, head: Head, depth: number): number {
  let at = head.next;
  for (let i = 0; i < head.length; i++) at = walk(bytes, view, at, depth + 1);
  return at;
}

function walkMap(bytes: Uint8Array, view: DataView, head: Head, depth: number): number {
  const keys = new Set<string>();
  let at = head.next;
  for (let i = 0; i < head.length; i++) {
    const keyHead = headAt(view, at);
    if (keyHead.kind !== 'text') throw malformed('a key that is not text');
    at = keyHead.next + keyHead.length;
    if (at > bytes.length) throw malformed('truncated');
    const key = textAt(bytes, keyHead);
    if (keys.has(key) || FORBIDDEN_KEYS.has(key)) throw malformed('a repeated or forbidden key');
    keys.add(key);
    at = walk(bytes, view, at, depth + 1);
  }
  return at;
}

/**
 * Decodes exactly one value of the subset; byte strings are copies.
 * @throws TacitError wire/too-large above `max`, wire/malformed for anything outside the subset or after the value
 */
export function decodeStrict(bytes: Uint8Array, max: number = LIMITS.headerBytes): unknown {
  if (bytes.length > max) throw new TacitError('wire/too-large', `header of ${bytes.length} bytes`);
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (walk(plain, new DataView(plain.buffer, plain.byteOffset, plain.byteLength), 0, 0) !== plain.length) {
    throw malformed('bytes after the value');
  }
  let value: unknown;
  let end = -1;
  try {
    unpackr.unpackMultiple(plain, (read: unknown, _start?: number, stop?: number) => {
      value = read;
      end = stop ?? -1;
      return false;
    });
  } catch (cause) {
    throw new TacitError('wire/malformed', 'header: not MessagePack', { cause });
  }
  if (end !== plain.length) throw malformed('bytes after the value');
  return value;
}

/** MessagePack bytes of a header. */
export function packHeader(value: object): Uint8Array {
  const packed = packr.pack(value);
  return new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
}
