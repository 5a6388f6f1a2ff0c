/** Images that lie in memory as one array: bundled data, IDX, CSV, `memory`. */
import { TacitError } from '../../protocol/errors.ts';
import type { NDArray } from '../../protocol/tensors.ts';
import type { CsvTable } from './csv.ts';
import { type IdxArray, parseIdx, parseIdxLabels } from './idx.ts';
import type { RasterSource } from './raster.ts';

/** What `arraySource` needs to know. */
export interface ImageArray {
  readonly name: string;
  /** [examples, height, width, channels] */
  readonly shape: readonly [number, number, number, number];
  readonly data: Uint8Array | Float32Array;
  readonly maximum: number;
  readonly labels?: Int32Array;
  readonly groups?: readonly string[];
  /** What one example is called in messages: `image`, `row`. */
  readonly unit?: string;
}

/** Views into one array; nothing is copied. */
export function arraySource(images: ImageArray): RasterSource {
  const { name, shape, data, maximum, labels, unit = 'image' } = images;
  const [length, height, width, channels] = shape;
  const size = height * width * channels;
  const groups = images.groups ?? (labels && numbered(labels));
  return {
    length,
    name,
    inMemory: true,
    ...(groups && labels ? { groups, group: (index: number) => labels[index]! } : {}),
    nameOf: (index) => `${name}, ${unit} ${index + 1}`,
    raster: (index) => ({ width, height, channels, maximum, data: data.subarray(index * size, (index + 1) * size) }),
  };
}

function numbered(labels: Int32Array): string[] {
  const last = labels.reduce((most, label) => Math.max(most, label), -1);
  return Array.from({ length: last + 1 }, (_, label) => String(label));
}

/** Refuses floats outside [0, 1]. @throws TacitError data/unreadable */
function checkUnitRange(data: Float32Array, size: number, name: string): void {
  const bad = data.findIndex((value) => !(value >= 0 && value <= 1));
  if (bad < 0) return;
  const place = `image ${Math.floor(bad / size) + 1} of ${name}`;
  throw new TacitError('data/unreadable', `${place} holds ${data[bad]}; floating-point pixels must lie in [0, 1]`, {
    where: name,
  });
}

/** Bytes of IDX files, as they come from a disk or a page. */
export interface IdxFiles {
  readonly name: string;
  readonly images: Uint8Array;
  readonly imagesName: string;
  readonly labels?: Uint8Array;
  readonly labelsName?: string;
  /** Value of full intensity in files of unsigned bytes. */
  readonly maximum?: number;
  readonly groups?: readonly string[];
}

/** @throws TacitError data/unreadable */
export function idxSource(files: IdxFiles): RasterSource {
  const { name, imagesName, maximum = 255 } = files;
  const parsed = parseIdx(files.images, imagesName);
  const [examples = 0, height = 0, width = 0, channels = 1] = parsed.shape;
  const known = channels === 1 || channels === 3;
  if (parsed.shape.length < 3 || !known || height * width === 0) {
    const found = `its dimensions are ${parsed.shape.join('×')}`;
    throw new TacitError('data/unreadable', `${imagesName} does not hold images: ${found}`, { where: imagesName });
  }
  const { data, maximum: top } = pixelsOf(parsed, maximum, height * width * channels, imagesName);
  const labels = files.labels && parseIdxLabels(files.labels, examples, files.labelsName ?? name);
  return arraySource({
    name,
    shape: [examples, height, width, channels],
    data,
    maximum: top,
    ...(labels ? { labels } : {}),
    ...(files.groups ? { groups: files.groups } : {}),
  });
}

function pixelsOf(
  parsed: IdxArray,
  maximum: number,
  size: number,
  where: string,
): Pick<ImageArray, 'data' | 'maximum'> {
  const { data } = parsed;
  if (data instanceof Uint8Array) return { data, maximum };
  if (data instanceof Float32Array || data instanceof Float64Array) {
    const floats = data instanceof Float32Array ? data : Float32Array.from(data);
    checkUnitRange(floats, size, where);
    return { data: floats, maximum: 1 };
  }
  throw new TacitError('data/unreadable', `${where} holds integers wider than a byte, whose full range is not known`, {
    where,
    hint: 'store pixels as unsigned bytes, or as floats in [0, 1]',
  });
}

/** Rows of a CSV file as images of `shape`. */
export function csvSource(
  table: CsvTable,
  [height, width, channels]: readonly [number, number, number],
  name: string,
): RasterSource {
  const { rows, data, maximum, labels, groups } = table;
  return arraySource({
    name,
    shape: [rows, height, width, channels],
    data,
    maximum,
    unit: 'row',
    ...(labels && groups ? { labels, groups } : {}),
  });
}

/** Source over an array of the caller: float32 [n, height, width, channels] in [0, 1]. @throws TacitError data/unreadable */
export function memorySource(image: NDArray, groups?: readonly number[]): RasterSource {
  const [examples = 0, height = 0, width = 0, channels = 0] = image.shape;
  const name = 'images in memory';
  const { data } = image;
  const grey = channels === 1 || channels === 3;
  if (!(data instanceof Float32Array) || image.shape.length !== 4 || !grey) {
    const found = `${image.dtype} [${image.shape.join(', ')}]`;
    throw new TacitError('data/unreadable', `${name} must be float32 [n, height, width, 1 or 3], not ${found}`);
  }
  if (data.length !== examples * height * width * channels || (groups && groups.length !== examples)) {
    throw new TacitError('data/unreadable', `${name}: the shape promises ${examples} images, the arrays disagree`);
  }
  checkUnitRange(data, height * width * channels, name);
  const labels = groups && Int32Array.from(groups);
  return arraySource({
    name,
    shape: [examples, height, width, channels],
    data,
    maximum: 1,
    ...(labels ? { labels } : {}),
  });
}
