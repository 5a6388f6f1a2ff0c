/** What `tacit embed` does: features piece by piece, so that a source of any size can be written as a stream of lines. */
import { openSource } from '../learning/data/open.ts';
import type { EmbedOutput } from '../learning/pool/jobs/embed.ts';
import { sizeOf } from '../protocol/tensors.ts';
import type { EmbedOptions } from './commands/embed.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
import { openOutput } from './output-file.ts';
import { openTrainedEncoder } from './trained-encoder.ts';

/** Examples in one piece. */
const PIECE = 1024;

type Write = (text: string) => Promise<void>;

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function* lines(table: EmbedOutput, first: number, format: EmbedOptions['format']): Generator<string> {
  for (let row = 0; row < table.rows; row++) {
    const embedding = Array.from(table.data.subarray(row * table.columns, (row + 1) * table.columns));
    const label = table.labels && (table.classes?.[table.labels[row]!] ?? String(table.labels[row]));
    const index = first + row;
    if (format === 'csv') yield `${[index, ...(label === undefined ? [] : [quoted(label)]), ...embedding].join(',')}\n`;
    else yield `${JSON.stringify({ index, ...(label === undefined ? {} : { label }), embedding })}\n`;
  }
}

const header = (table: EmbedOutput): string =>
  `${['index', ...(table.labels ? ['label'] : []), ...Array.from({ length: table.columns }, (_, i) => `z${i}`)].join(',')}\n`;

/** Writes to a new version of the file, or to stdout. */
async function destination(context: Context, out: string | undefined): Promise<{ write: Write; end(): Promise<void> }> {
  if (out === undefined) return { write: (text) => context.write(text), end: async () => {} };
  const file = await openOutput('--out', out);
  return { write: (text) => file.writeFile(text), end: () => file.close() };
}

/** Flat numbers as nested lists: [2, 3] → [[…], […]]. */
function nested(data: Float32Array, shape: readonly number[]): unknown[] {
  const [length = 0, ...rest] = shape;
  if (rest.length === 0) return Array.from(data);
  const size = sizeOf(rest);
  return Array.from({ length }, (_, i) => nested(data.subarray(i * size, (i + 1) * size), rest));
}

/** One piece of the two lists of --json, as text without their brackets. */
interface Piece {
  readonly images: string;
  readonly embeddings: string;
}

/** The elements of a list without its brackets. */
const elements = (list: readonly unknown[]): string => JSON.stringify(list).slice(1, -1);

/** Writes one line of features for each example, or with --json one line for all. */
export async function embed(context: Context, options: EmbedOptions, path: string): Promise<void> {
  const spec = await dataArgument(options.data, options.labelColumn);
  const { run, pool } = await openTrainedEncoder(context, path, options);
  const { plan, model } = run;
  const { length } = await openSource(spec, plan.data);
  const total = Math.min(length, options.limit ?? length);
  const { write, end } = await destination(context, options.out);
  const collected: Piece[] = [];
  for (let first = 0; first < total; first += PIECE) {
    const indices = Int32Array.from({ length: Math.min(PIECE, total - first) }, (_, i) => first + i);
    const source = { ...spec, indices };
    const table = await pool.run('embed', { plan, model, source }, { signal: context.signal });
    if (options.json) {
      const pixels = await pool.run('embed', { plan, source }, { signal: context.signal });
      collected.push({
        images: elements(nested(pixels.data, [pixels.rows, ...plan.data.shape])),
        embeddings: elements(nested(table.data, [table.rows, table.columns])),
      });
    } else {
      if (first === 0 && options.format === 'csv') await write(header(table));
      await write([...lines(table, first, options.format)].join(''));
    }
    context.progress.live(`embedded ${first + table.rows} of ${total}`);
  }
  if (options.json) {
    const list = (key: keyof Piece): string => `[${collected.map((piece) => piece[key]).join(',')}]`;
    await write(`{"inputs":${list('images')},"embeddings":${list('embeddings')}}\n`);
  }
  await end();
  await pool.close();
}
