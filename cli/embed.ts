/** What `tacit embed` does: features piece by piece, so that a source of any size can be written as a stream of lines. */
import { open } from 'node:fs/promises';
import { openSource } from '../learning/data/open.ts';
import type { EmbedOutput } from '../learning/pool/jobs/embed.ts';
import { TacitError } from '../protocol/errors.ts';
import type { EmbedOptions } from './commands/embed.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
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
  const file = await open(out, 'w').catch((thrown: NodeJS.ErrnoException) => {
    throw new TacitError('run/store', `Cannot write ${out} (${thrown.code}).`, {
      where: `--out ${out}`,
      cause: thrown,
    });
  });
  return { write: (text) => file.writeFile(text), end: () => file.close() };
}

/** Writes one line of features for each example. */
export async function embed(context: Context, options: EmbedOptions, path: string): Promise<void> {
  const spec = await dataArgument(options.data, options.labelColumn);
  const { run, pool } = await openTrainedEncoder(context, path, options);
  const { length } = await openSource(spec, run.plan.data);
  const total = Math.min(length, options.limit ?? length);
  const { write, end } = await destination(context, options.out);
  for (let first = 0; first < total; first += PIECE) {
    const indices = Int32Array.from({ length: Math.min(PIECE, total - first) }, (_, i) => first + i);
    const input = { plan: run.plan, model: run.model, source: { ...spec, indices } };
    const table = await pool.run('embed', input, { signal: context.signal });
    if (first === 0 && options.format === 'csv') await write(header(table));
    await write([...lines(table, first, options.format)].join(''));
    context.progress.live(`embedded ${first + table.rows} of ${total}`);
  }
  await end();
  await pool.close();
}
