/** Looks through a data source without training on it: what is there, what cannot be read, and how it fits a plan. */
import type { ErrorCode } from '../../protocol/errors.ts';
import { TacitError } from '../../protocol/errors.ts';
import type { Skipped } from './file-list.ts';
import { fitsExactly, wrongShape } from './fit.ts';
import { checkIndex } from './fitted-source.ts';
import { eachInFlight } from './in-flight.ts';
import type { Raster, RasterSource } from './raster.ts';
import type { DataContract } from './source.ts';

/** The part of a plan that data has to fit (plan.data has it all). */
export interface DataRequirements extends DataContract {
  readonly minExamples: number;
}

export interface InspectOptions {
  /** Look at no more than so many examples, spread evenly. */
  readonly limit?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

export interface DataProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
}

/** One size among the images as they are stored. */
export interface ShapeCount {
  readonly height: number;
  readonly width: number;
  /** 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha. */
  readonly channels: number;
  /** The value of full intensity: 255, 65535, 16, 1. */
  readonly maximum: number;
  readonly count: number;
}

/** Plain data: it can be printed, sent from a worker or written as JSON. */
export interface DataReport {
  readonly source: string;
  readonly examples: number;
  /** How many of them were looked at. */
  readonly inspected: number;
  /** Sizes, most frequent first; at most 20, `otherShapes` counts the images of further ones. */
  readonly shapes: readonly ShapeCount[];
  readonly otherShapes: number;
  /** Of the pixels looked at, in [0, 1]; null if there were none. */
  readonly range: { readonly min: number; readonly max: number } | null;
  readonly unreadable: { readonly count: number; readonly first: readonly DataProblem[] };
  readonly skipped: Skipped;
  readonly groups: readonly { readonly name: string; readonly count: number }[] | null;
  /** Of the images looked at: taken as they are, resized, and with colours made grey or the reverse (or alpha removed). */
  readonly fit: {
    readonly exact: number;
    readonly resized: number;
    readonly recoloured: number;
    readonly refused: number;
  };
  readonly verdict: 'fits' | 'does not fit';
  /** Why it does not fit; the first decides the exit status. */
  readonly problems: readonly DataProblem[];
  /** What is allowed but probably not meant. */
  readonly notes: readonly string[];
}

const NAMED = 20;
const DARK = 0.25;

const plain = ({ code, message, where, hint }: TacitError): DataProblem => ({
  code,
  message,
  ...(where === undefined ? {} : { where }),
  ...(hint === undefined ? {} : { hint }),
});

/** Sums over the images looked at; `add` and `fail` may come in any order. */
function createTally(requirements: DataRequirements) {
  const shapes = new Map<string, { shape: Omit<ShapeCount, 'count'>; count: number }>();
  const unreadable: { index: number; problem: DataProblem }[] = [];
  const fit = { exact: 0, resized: 0, recoloured: 0, refused: 0 };
  const range = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
  let refused: { index: number; error: TacitError } | undefined;
  const [height, width, channels] = requirements.shape;

  function add(index: number, raster: Raster, where: string): void {
    const shape = { height: raster.height, width: raster.width, channels: raster.channels, maximum: raster.maximum };
    const key = Object.values(shape).join();
    const known = shapes.get(key) ?? { shape, count: 0 };
    known.count++;
    shapes.set(key, known);
    widen(range, raster);
    if (raster.channels !== channels) fit.recoloured++;
    if (fitsExactly(raster, requirements.shape)) fit.exact++;
    else if (raster.height === height && raster.width === width) return;
    else if (requirements.resize !== 'error') fit.resized++;
    else {
      fit.refused++;
      if (!refused || index < refused.index) refused = { index, error: wrongShape(raster, requirements, where) };
    }
  }

  const fail = (index: number, error: TacitError): void => {
    unreadable.push({ index, problem: plain(error) });
  };

  return { add, fail, shapes, unreadable, fit, range, refused: () => refused?.error };
}

function widen(range: { min: number; max: number }, { data, channels, maximum }: Raster): void {
  const colours = channels === 2 || channels === 4 ? channels - 1 : channels;
  let { min, max } = range;
  for (let p = 0; p < data.length; p += channels) {
    for (let c = 0; c < colours; c++) {
      const value = data[p + c]! / maximum;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  Object.assign(range, { min, max });
}

function spread(available: number, limit: number | undefined): (i: number) => number {
  if (limit === undefined || limit >= available) return (i) => i;
  return (i) => Math.floor((i * available) / limit);
}

function groupCounts(rasters: RasterSource, indices: Int32Array | undefined): DataReport['groups'] {
  const { groups } = rasters;
  if (!groups || !rasters.group) return null;
  const counts = new Array<number>(groups.length).fill(0);
  const total = indices?.length ?? rasters.length;
  for (let i = 0; i < total; i++) counts[rasters.group(indices ? indices[i]! : i)]!++;
  return groups.map((name, g) => ({ name, count: counts[g]! }));
}

function problemsOf(
  tally: ReturnType<typeof createTally>,
  examples: number,
  { minExamples }: DataRequirements,
  skipped: Skipped,
): DataProblem[] {
  const problems: DataProblem[] = [];
  const [broken] = tally.unreadable;
  const refused = tally.refused();
  if (broken) {
    const more = tally.unreadable.length - 1;
    const others = more === 0 ? '' : ` (and ${more} more)`;
    problems.push({ ...broken.problem, code: 'data/unreadable', message: broken.problem.message + others });
  }
  if (refused) {
    const more = tally.fit.refused - 1;
    problems.push({ ...plain(refused), message: refused.message + (more === 0 ? '' : ` (and ${more} more)`) });
  }
  if (examples < minExamples) {
    const passed = skipped.count === 0 ? '' : `; ${skipped.count} files that are neither PNG nor JPEG were passed over`;
    const message = `the data source holds ${examples} examples, the plan requires at least ${minExamples}${passed}`;
    problems.push({ code: 'data/too-few-examples', message });
  }
  return problems;
}

/**
 * @param indices only these examples of the source
 * @returns a report; what cannot be read is counted in it, not thrown
 */
export async function inspect(
  rasters: RasterSource,
  requirements: DataRequirements,
  options: InspectOptions & { readonly indices?: Int32Array } = {},
): Promise<DataReport> {
  const { indices, limit, onProgress, signal } = options;
  for (const index of indices ?? []) checkIndex(index, rasters);
  const examples = indices?.length ?? rasters.length;
  const inspected = Math.min(examples, limit ?? examples);
  const pick = spread(examples, limit);
  const tally = createTally(requirements);
  let done = 0;
  await eachInFlight(inspected, async (i) => {
    signal?.throwIfAborted();
    const index = indices ? indices[pick(i)]! : pick(i);
    try {
      tally.add(index, await rasters.raster(index), rasters.nameOf(index));
    } catch (thrown) {
      if (!(thrown instanceof TacitError)) throw thrown;
      tally.fail(index, thrown);
    }
    done++;
    onProgress?.({ done, total: inspected });
  });
  tally.unreadable.sort((a, b) => a.index - b.index);
  const skipped = rasters.skipped ?? { count: 0, first: [] };
  const problems = problemsOf(tally, examples, requirements, skipped);
  const shapes = [...tally.shapes.values()]
    .map(({ shape, count }) => ({ ...shape, count }))
    .sort((a, b) => b.count - a.count || a.height - b.height || a.width - b.width || a.channels - b.channels);
  return {
    source: rasters.name,
    examples,
    inspected,
    shapes: shapes.slice(0, NAMED),
    otherShapes: shapes.slice(NAMED).reduce((sum, { count }) => sum + count, 0),
    range: tally.range.max >= tally.range.min ? tally.range : null,
    unreadable: {
      count: tally.unreadable.length,
      first: tally.unreadable.slice(0, NAMED).map(({ problem }) => problem),
    },
    skipped,
    groups: groupCounts(rasters, indices),
    fit: tally.fit,
    verdict: problems.length === 0 ? 'fits' : 'does not fit',
    problems,
    notes: notesOn(tally.range),
  };
}

function notesOn({ min, max }: { min: number; max: number }): string[] {
  if (max < min) return [];
  if (max === min) return ['all pixels have the same value'];
  const reach = `no pixel exceeds ${Number((100 * max).toPrecision(2))} % of the full intensity`;
  return max < DARK ? [`${reach}; if the values have a smaller full intensity, declare it (maximum)`] : [];
}
