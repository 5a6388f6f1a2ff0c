/**
 * IDX files, the format of MNIST: two zero bytes, a type, the number of dimensions, the dimensions (big-endian), the values.
 */
import { TacitError } from '../../protocol/errors.ts';

/** A parsed IDX file; bytes are a view of the input, wider types a copy in this machine's byte order. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;
}

type Reader = (view: DataView, count: number) => IdxArray['data'];

const TYPES: Readonly<Record<number, { readonly width: number; readonly read: Reader }>> = {
  8: { width: 1, read: (v, n) => new Uint8Array(v.buffer, v.byteOffset, n) },
  9: { width: 1, read: (v, n) => new Int8Array(v.buffer, v.byteOffset, n) },
  11: { width: 2, read: (v, n) => Int16Array.from({ length: n }, (_, i) => v.getInt16(2 * i)) },
  12: { width: 4, read: (v, n) => Int32Array.from({ length: n }, (_, i) => v.getInt32(4 * i)) },
  13: { width: 4, read: (v, n) => Float32Array.from({ length: n }, (_, i) => v.getFloat32(4 * i)) },
  14: { width: 8, read: (v, n) => Float64Array.from({ length: n }, (_, i) => v.getFloat64(8 * i)) },
};

const unreadable = (message: string, where: string): TacitError =>
  new TacitError('data/unreadable', message, { where });

const count = (bytes: number): string => bytes.toLocaleString('en');

/** Whether the bytes start as an IDX file does. */
export const isIdx = (bytes: Uint8Array): boolean =>
  bytes.length >= 4 && bytes[0] === 0 && bytes[1] === 0 && bytes[2]! in TYPES && bytes[3]! >= 1 && bytes[3]! <= 4;

/** @throws TacitError data/unreadable if the bytes are not IDX or not exactly as long as their header says */
export function parseIdx(bytes: Uint8Array, where: string): IdxArray {
  const type = TYPES[bytes[2] ?? 0];
  const rank = bytes[3] ?? 0;
  if (!isIdx(bytes) || !type) throw unreadable(`${where} is not an IDX file`, where);
  const header = 4 + 4 * rank;
  if (bytes.length < header) {
    throw unreadable(`${where} ends within its header: expected ${header} bytes, found ${bytes.length}`, where);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const values = shape.reduce((product, size) => product * size, 1);
  const expected = header + values * type.width;
  if (bytes.length !== expected) {
    const fault = bytes.length < expected ? 'is truncated' : 'is longer than it should be';
    const found = `expected ${count(expected)} bytes for ${shape.join('×')}, found ${count(bytes.length)}`;
    throw unreadable(`${where} ${fault}: ${found}`, where);
  }
  return { shape, data: type.read(new DataView(view.buffer, view.byteOffset + header), values) };
}

/** Labels of an IDX file as class indices. @throws TacitError data/unreadable */
export function parseIdxLabels(bytes: Uint8Array, examples: number, where: string): Int32Array {
  const { shape, data } = parseIdx(bytes, where);
  if (shape.length !== 1 || shape[0] !== examples) {
    throw unreadable(`${where} holds ${shape.join('×')} labels for ${count(examples)} images`, where);
  }
  const labels = Int32Array.from(data);
  const bad = labels.findIndex((label, i) => label < 0 || label !== data[i]);
  if (bad >= 0) throw unreadable(`${where}: label ${bad} is ${data[bad]}, not a class number`, where);
  return labels;
}
