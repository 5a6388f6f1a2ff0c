/**
 * The one tensor format: safetensors, on the wire, in the store and as export (SPEC.md §7).
 * Written in one way only (names sorted, header padded to 8 bytes, no holes), so that a model has one hash; read strictly.
 */
import { asBytes, fromUtf8, utf8 } from './bytes.ts';
import { TacitError } from './errors.ts';
import { type DType, type NamedArrays, type NamedSpecs, type NDArray, sizeOf } from './tensors.ts';

const MAX_HEADER_BYTES = 16 * 1024 * 1024;
const MAX_RANK = 8;
const METADATA = '__metadata__';
/** Printable ASCII without quote and backslash, so that names need no escapes and sort in one way. */
const NAME = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,200}$/;

const DTYPES: Readonly<Record<string, DType>> = { F32: 'float32', I32: 'int32' };
const CODES: Readonly<Record<DType, string>> = { float32: 'F32', int32: 'I32' };

const malformed = (what: string): TacitError => new TacitError('weights/malformed', `safetensors: ${what}`);

const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function checkName(name: string): string {
  if (!NAME.test(name) || name === '__proto__') throw malformed(`a tensor cannot be named ${JSON.stringify(name)}`);
  return name;
}

function writeHeader(
  arrays: NamedArrays,
  names: readonly string[],
  metadata: Readonly<Record<string, string>>,
): string {
  const entries: string[] = [];
  const keys = Object.keys(metadata).sort(byCodeUnit);
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    entries.push(`"${METADATA}":{${pairs.join(',')}}`);
  }
  let at = 0;
  for (const name of names) {
    const array = arrays[name]!;
    const end = at + array.data.byteLength;
    const shape = array.shape.join(',');
    entries.push(`"${name}":{"dtype":"${CODES[array.dtype]}","shape":[${shape}],"data_offsets":[${at},${end}]}`);
    at = end;
  }
  return `{${entries.join(',')}}`;
}

/**
 * The bytes of a safetensors file; equal arrays and metadata give equal bytes.
 * @throws TacitError weights/malformed if a name cannot be written or an array's length does not fit its shape
 */
export function encodeSafetensors(
  arrays: NamedArrays,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(arrays).map(checkName).sort(byCodeUnit);
  for (const name of names) {
    const { shape, data } = arrays[name]!;
    if (sizeOf(shape) !== data.length) throw malformed(`${name} has ${data.length} values for shape [${shape}]`);
  }
  const header = utf8(writeHeader(arrays, names, metadata));
  const headerBytes = Math.ceil(header.length / 8) * 8;
  const dataBytes = names.reduce((n, name) => n + arrays[name]!.data.byteLength, 0);
  const file = new Uint8Array(8 + headerBytes + dataBytes).fill(0x20, 8, 8 + headerBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(header, 8);
  let at = 8 + headerBytes;
  for (const name of names) {
    file.set(asBytes(arrays[name]!.data), at);
    at += arrays[name]!.data.byteLength;
  }
  return file;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readEntry(name: string, value: unknown): Entry {
  checkName(name);
  if (!isObject(value) || Object.keys(value).length !== 3) throw malformed(`the entry of ${name}`);
  const { dtype, shape, data_offsets: offsets } = value;
  const type = typeof dtype === 'string' && Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
  if (!type) throw malformed(`${name} has type ${String(dtype).slice(0, 20)}; F32 and I32 can be read`);
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isCount))
    throw malformed(`the shape of ${name}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw malformed(`the offsets of ${name}`);
  }
  const [begin, end] = offsets as [number, number];
  if (end - begin !== 4 * sizeOf(shape)) throw malformed(`${name} has ${end - begin} bytes for shape [${shape}]`);
  return { name, dtype: type, shape, begin, end };
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value)) throw malformed('its metadata');
  const metadata: Record<string, string> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string' || key === '__proto__') throw malformed('its metadata');
    metadata[key] = entry;
  }
  return metadata;
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) throw malformed('truncated');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > BigInt(MAX_HEADER_BYTES)) throw malformed('its header is too long');
  const dataStart = 8 + Number(headerBytes);
  if (dataStart > bytes.length) throw malformed('truncated');
  let header: unknown;
  try {
    header = JSON.parse(fromUtf8(bytes.subarray(8, dataStart)));
  } catch {
    throw malformed('its header is not JSON');
  }
  if (!isObject(header)) throw malformed('its header is not an object');
  return { header, dataStart };
}

/** Every byte of the data belongs to exactly one tensor. */
function checkCoverage(entries: readonly Entry[], dataBytes: number): void {
  let at = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) throw malformed(`${name} does not begin where the one before it ends`);
    at = end;
  }
  if (at !== dataBytes) throw malformed(`${dataBytes} bytes of data, of which the tensors use ${at}`);
}

function readArray(bytes: Uint8Array, entry: Entry, dataStart: number): NDArray {
  const { buffer } = bytes.slice(dataStart + entry.begin, dataStart + entry.end);
  const data = entry.dtype === 'float32' ? new Float32Array(buffer) : new Int32Array(buffer);
  return { shape: entry.shape, dtype: entry.dtype, data };
}

/** Reads a file; the arrays are copies, in the order of their names. @throws TacitError weights/malformed */
export function decodeSafetensors(bytes: Uint8Array): { arrays: NamedArrays; metadata: Record<string, string> } {
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { header, dataStart } = readHeader(plain);
  const entries = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, value]) => readEntry(name, value))
    .sort((a, b) => byCodeUnit(a.name, b.name));
  checkCoverage(entries, plain.length - dataStart);
  const arrays = Object.fromEntries(entries.map((entry) => [entry.name, readArray(plain, entry, dataStart)]));
  return { arrays, metadata: readMetadata(header[METADATA]) };
}

const describe = (shape: readonly number[], dtype: DType): string => `${dtype}[${shape.join(', ')}]`;

/** @throws TacitError weights/mismatch that names what is missing, left over or of another shape */
export function checkAgainst(arrays: NamedArrays, specs: NamedSpecs): void {
  const faults: string[] = [];
  for (const [name, spec] of Object.entries(specs)) {
    const array = Object.hasOwn(arrays, name) ? arrays[name] : undefined;
    const wanted = describe(spec.shape, spec.dtype);
    if (!array) faults.push(`${name} is missing`);
    else if (describe(array.shape, array.dtype) !== wanted) {
      faults.push(`${name} is ${describe(array.shape, array.dtype)} instead of ${wanted}`);
    }
  }
  for (const name of Object.keys(arrays)) if (!Object.hasOwn(specs, name)) faults.push(`${name} is not expected`);
  if (faults.length === 0) return;
  const more = faults.length > 5 ? ` (and ${faults.length - 5} more)` : '';
  throw new TacitError('weights/mismatch', faults.slice(0, 5).join('; ') + more);
}

/** @throws TacitError weights/not-finite that names the first tensor with a NaN or an infinity */
export function assertFinite(arrays: NamedArrays): void {
  for (const [name, { data }] of Object.entries(arrays)) {
    for (let i = 0; i < data.length; i++) {
      if (!Number.isFinite(data[i])) {
        throw new TacitError('weights/not-finite', `${name} holds ${data[i]} at ${i}`, { where: name });
      }
    }
  }
}
