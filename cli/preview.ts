/** What `tacit data preview` does: a picture with one row per example, itself first, then augmented views of it. */
import { encode } from 'fast-png';
import { openSource } from '../learning/data/open.ts';
import { createPool } from '../learning/pool/pool.ts';
import { TacitError } from '../protocol/errors.ts';
import { permutation, stream } from '../protocol/random.ts';
import { type NDArray, sizeOf } from '../protocol/tensors.ts';
import type { PreviewOptions } from './commands/data.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { writeOutput } from './output-file.ts';
import { loadPlan } from './plan-file.ts';

/** Pixels between tiles, and the least width of a tile: small images are enlarged by a whole factor, pixel by pixel. */
const GAP = 4;
const TILE = 64;

export interface ContactSheet {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** Columns of images side by side, example by example. columns: each [n, h, w, c] in [0, 1]; values outside are clamped. */
export function contactSheet(columns: readonly NDArray[]): ContactSheet {
  const [rows, h, w, c] = columns[0]!.shape as [number, number, number, 1 | 3];
  const zoom = Math.max(1, Math.round(TILE / w));
  const [stepY, stepX] = [h * zoom + GAP, w * zoom + GAP];
  const [height, width] = [rows * stepY + GAP, columns.length * stepX + GAP];
  const data = new Uint8Array(height * width * c).fill(255);
  const size = sizeOf([h, w, c]);
  columns.forEach(({ data: images }, column) => {
    for (let row = 0; row < rows; row++) {
      for (let y = 0; y < h * zoom; y++) {
        for (let x = 0; x < w * zoom; x++) {
          const from = row * size + (Math.floor(y / zoom) * w + Math.floor(x / zoom)) * c;
          const to = ((GAP + row * stepY + y) * width + GAP + column * stepX + x) * c;
          for (let k = 0; k < c; k++) data[to + k] = Math.round(255 * Math.min(1, Math.max(0, images[from + k]!)));
        }
      }
    }
  });
  return { width, height, channels: c, data };
}

/** Writes the picture and says where it is. @throws TacitError data/not-found, data/too-few-examples, data/wrong-shape, run/store */
export async function preview(context: Context, options: PreviewOptions, path: string): Promise<void> {
  const { count, views, out } = options;
  const plan = await loadPlan(options.plan, options.seed === undefined ? {} : { seed: options.seed });
  const source = await dataArgument(path, options.labelColumn);
  const { length } = await openSource(source, plan.data);
  if (length === 0) throw new TacitError('data/too-few-examples', `there is no image in ${path}`, { where: path });
  const indices = permutation(stream(plan.seed, 'preview'), length).slice(0, count);
  closePoolsBeforeLeaving();
  const pool = await createPool({ engine: options.engine, workers: 1 });
  context.progress.log(`engine ${pool.engine} (${pool.reason})`);
  const made = await pool.run('views', { plan, source, indices, views, seed: plan.seed }, { signal: context.signal });
  await pool.close();
  const sheet = contactSheet([made.originals, ...made.views]);
  await writeOutput('--out', out, encode({ ...sheet, depth: 8 }));
  const result = { out, examples: indices.length, views, seed: plan.seed, width: sheet.width, height: sheet.height };
  context.result(result, `${indices.length} examples, each with ${views} views beside it: ${out}`);
}
