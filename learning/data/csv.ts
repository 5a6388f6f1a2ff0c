/** Images as rows of a CSV file: one column per pixel (row-major, channels interleaved), optionally one with the label. */
import { TacitError } from '../../protocol/errors.ts';
import { type CsvRow, csvRows } from './csv-rows.ts';
import { naturalCompare } from './natural-order.ts';

export interface CsvOptions {
  /** Name of the label column, or its number (from 0; −1 is the last); by default the one named label, class or target. */
  readonly labelColumn?: string;
  /** Whether the first line names the columns; by default it does if a cell that should be a pixel is not a number. */
  readonly header?: boolean;
  /** The value of full intensity; by default 1 if no value exceeds 1, otherwise 255. */
  readonly maximum?: number;
}

export interface CsvTable {
  readonly rows: number;
  /** Pixel columns. */
  readonly columns: number;
  /** [rows, columns] */
  readonly data: Uint8Array | Float32Array;
  readonly maximum: number;
  readonly labels?: Int32Array;
  /** Distinct labels in natural order; `labels` are indices into it. */
  readonly groups?: readonly string[];
}

const LABEL_NAMES = ['label', 'class', 'target'];

const unreadable = (where: string, fault: string, hint?: string): TacitError =>
  new TacitError('data/unreadable', `${where}${fault}`, { where, ...(hint === undefined ? {} : { hint }) });

const isNumber = (cell: string): boolean => cell.trim() !== '' && Number.isFinite(Number(cell));

interface Columns {
  readonly width: number;
  /** Position of the label column, or −1. */
  readonly label: number;
  /** Whether the first row names the columns. */
  readonly named: boolean;
}

/** Finds out from the first row whether it is a header, and which column holds the label. */
function columnsOf(first: readonly string[], { labelColumn, header }: CsvOptions, where: string): Columns {
  const names = first.map((cell) => cell.trim());
  const width = names.length;
  const number = labelColumn !== undefined && /^-?\d+$/.test(labelColumn) ? Number(labelColumn) : undefined;
  const position = number === undefined ? -1 : number < 0 ? width + number : number;
  const named = header ?? names.some((name, column) => column !== position && !isNumber(name));
  if (labelColumn === undefined) {
    return { width, named, label: named ? names.findIndex((name) => LABEL_NAMES.includes(name.toLowerCase())) : -1 };
  }
  const label = named && names.includes(labelColumn) ? names.indexOf(labelColumn) : position;
  if (label >= 0 && label < width) return { width, named, label };
  const known = named ? `its columns are ${names.slice(0, 8).join(', ')}${width > 8 ? ', …' : ''}` : 'it has no header';
  throw unreadable(where, ` has no column "${labelColumn}"; ${known}`);
}

const isByte = (value: number): boolean => value >= 0 && value <= 255 && Number.isInteger(value);

/** Numbers in an array that grows; bytes until one is not. */
function growingValues() {
  let data: Uint8Array | Float32Array = new Uint8Array(1 << 16);
  let length = 0;
  return {
    push(value: number): void {
      if (data instanceof Uint8Array && !isByte(value)) data = Float32Array.from(data);
      if (length === data.length) {
        const larger = data instanceof Uint8Array ? new Uint8Array(2 * length) : new Float32Array(2 * length);
        larger.set(data);
        data = larger;
      }
      data[length++] = value;
    },
    take: () => data.slice(0, length),
  };
}

interface Extremes {
  min: number;
  max: number;
  minLine: number;
  maxLine: number;
}

function fullIntensity({ min, max, minLine, maxLine }: Extremes, declared: number | undefined, where: string): number {
  if (min < 0) throw unreadable(where, `, line ${minLine} holds ${min}; pixels must not be negative`);
  if (declared === undefined && max <= 1) return 1;
  const top = declared ?? 255;
  if (max <= top) return top;
  const hint = `declare the value of full intensity (maximum), which is ${declared ?? 255} ${declared ? 'here' : 'by default'}`;
  throw unreadable(where, `, line ${maxLine} holds ${max}, more than the full intensity ${top}`, hint);
}

/** Labels by their text, numbered in natural order. */
function numberLabels(texts: readonly string[]): { readonly labels: Int32Array; readonly groups: readonly string[] } {
  const groups = [...new Set(texts)].sort(naturalCompare);
  const numbers = new Map(groups.map((name, number) => [name, number]));
  return { groups, labels: Int32Array.from(texts, (name) => numbers.get(name)!) };
}

/** Collects the pixels and labels of rows. */
function createCollector(columns: Columns, where: string) {
  const values = growingValues();
  const labels: string[] = [];
  const extremes: Extremes = { min: 0, max: 0, minLine: 0, maxLine: 0 };
  const { width, label } = columns;

  function pixel(cell: string, column: number, line: number): void {
    const value = Number(cell);
    if (!isNumber(cell)) throw unreadable(where, `, line ${line}, column ${column + 1}: "${cell}" is not a number`);
    if (value < extremes.min) Object.assign(extremes, { min: value, minLine: line });
    if (value > extremes.max) Object.assign(extremes, { max: value, maxLine: line });
    values.push(value);
  }

  return {
    extremes,
    labels,
    values,
    add({ cells, line }: CsvRow): void {
      if (cells.length !== width) {
        throw unreadable(where, `, line ${line} has ${cells.length} columns, the first row has ${width}`);
      }
      for (let column = 0; column < width; column++) {
        if (column === label) labels.push(cells[column]!.trim());
        else pixel(cells[column]!, column, line);
      }
    },
  };
}

/** @throws TacitError data/unreadable, naming file, line and column */
export async function parseCsv(
  pieces: AsyncIterable<string> | Iterable<string>,
  options: CsvOptions,
  where: string,
): Promise<CsvTable> {
  let columns: Columns | undefined;
  let collector: ReturnType<typeof createCollector> | undefined;
  let rows = 0;
  for await (const row of csvRows(pieces)) {
    if (!columns || !collector) {
      columns = columnsOf(row.cells, options, where);
      collector = createCollector(columns, where);
      if (columns.named) continue;
    }
    collector.add(row);
    rows++;
  }
  if (!columns || !collector) throw unreadable(where, ' is empty');
  return {
    rows,
    columns: columns.width - (columns.label >= 0 ? 1 : 0),
    data: collector.values.take(),
    maximum: fullIntensity(collector.extremes, options.maximum, where),
    ...(columns.label >= 0 ? numberLabels(collector.labels) : {}),
  };
}

/**
 * Height, width and channels of a row: the plan's shape if the number of pixels is right, otherwise a square of grey or RGB.
 * @throws TacitError data/wrong-shape
 */
export function rowShape(
  columns: number,
  wanted: readonly [number, number, number] | undefined,
  where: string,
): readonly [number, number, number] {
  if (wanted && wanted[0] * wanted[1] * wanted[2] === columns) return wanted;
  for (const channels of [1, 3]) {
    const side = Math.sqrt(columns / channels);
    if (side >= 1 && Number.isInteger(side)) return [side, side, channels];
  }
  const plan = wanted ? `; the plan wants ${wanted.join('×')} = ${wanted[0] * wanted[1] * wanted[2]}` : '';
  throw new TacitError('data/wrong-shape', `${where} has ${columns} pixel columns, which is no square image${plan}`, {
    where,
    hint: 'if one of the columns holds the label, name it (labelColumn)',
  });
}
