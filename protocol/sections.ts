/**
 * What a report holds: ordered, named sections, fixed by the plan, one list per exchange of a round.
 * Both sides compute this list from the plan alone, so neither can name another bound, length or scale.
 */
import { TacitError } from './errors.ts';
import type { Plan } from './plan.ts';
import { noisedExchange } from './privacy/noised-exchange.ts';
import type { NamedSpecs } from './tensors.ts';

/** A run of words in a report's vector. */
export interface Section {
  readonly name: string;
  /** Number of ring words. */
  readonly length: number;
  /** `sum`: added as it is; `weightedSum`: multiplied by the weight before encoding; `list`: kept apart (never under masking). */
  readonly reduce: 'sum' | 'weightedSum' | 'list';
  /** Largest absolute value of a coordinate before scaling. */
  readonly bound: number;
  readonly ringBits: 32;
  /** Sections with the same group are clipped together: their L2 norm is at most their bound. null: each coordinate is clamped only. */
  readonly clipGroup: string | null;
  /** For metrics: the interval that is mapped to [0, 1] before encoding. */
  readonly range?: readonly [low: number, high: number];
  /** Under differential privacy: the longest that one participant's values may be, and the room that the scale leaves for noise. */
  readonly noised?: { readonly sensitivity: number; readonly headroom: number };
}

/** One upload of every participant, answered by a sum. */
export interface Exchange {
  readonly index: number;
  /** `statistics` is answered with what a participant measures, `train` with what it learns. */
  readonly name: 'statistics' | 'train';
  readonly sections: readonly Section[];
  /** What comes with its start besides the model: the arrays of the blob `BROADCAST`. */
  readonly brings: NamedSpecs;
}

/** The name of the blob with what the strategy made of the exchange before. */
export const BROADCAST = 'broadcast';

/** The name of the blob with the global model. */
export const MODEL = 'model';

/** The blobs that an exchange starts from, in order. A start with others is refused: masks are bound to hashes, not to names. */
export const blobsOf = ({ index, brings }: Pick<Exchange, 'index' | 'brings'>): readonly string[] => [
  ...(index === 0 ? [MODEL] : []),
  ...(Object.keys(brings).length > 0 ? [BROADCAST] : []),
];

/** What the sections depend on besides the plan; the encoder's manifest and the pretext task determine it. */
export interface ReportShape {
  /** Number of parameters that are aggregated, over all groups, in manifest order. */
  readonly dimension: number;
  /** Interval of the pretext loss: values outside are clamped before they are encoded. */
  readonly lossRange: readonly [number, number];
  /** The statistics that the strategy shares: so many values, of at most this L2 norm. */
  readonly statistics?: { readonly length: number; readonly bound: number } | undefined;
}

const word = (name: string, reduce: Section['reduce'], range?: readonly [number, number]): Section => ({
  name,
  length: 1,
  reduce,
  bound: 1,
  ringBits: 32,
  clipGroup: null,
  ...(range ? { range } : {}),
});

/** What every participant's `train` report holds. */
function trainExchange(plan: Plan, shape: ReportShape, index: number, brings: NamedSpecs): Exchange {
  const delta: Section = {
    name: 'delta',
    length: shape.dimension,
    reduce: 'weightedSum',
    bound: plan.privacy.clipNorm,
    ringBits: 32,
    clipGroup: 'update',
  };
  return {
    index,
    name: 'train',
    sections: [delta, word('weight', 'sum'), word('metrics/loss', 'weightedSum', shape.lossRange)],
    brings,
  };
}

/**
 * The exchanges of one round under `plan`.
 * The last exchange always carries the section `delta`; every exchange carries `weight`, 1 for each participant if weights are uniform;
 * but not under differential privacy, where an exact number beside a noised sum would be a release of its own.
 */
export function exchangesOf(plan: Plan, shape: ReportShape): readonly Exchange[] {
  const { statistics } = shape;
  const { privacy } = plan;
  if (privacy.mode === 'secagg+dp') return [noisedExchange(privacy, plan.rounds, shape)];
  if (!statistics) return [trainExchange(plan, shape, 0, {})];
  const { length, bound } = statistics;
  const measured: Section = {
    name: 'statistics',
    length,
    reduce: 'weightedSum',
    bound,
    ringBits: 32,
    clipGroup: 'statistics',
  };
  const scale: NamedSpecs =
    plan.strategy.name === 'shared-statistics' && plan.strategy.mode === 'local'
      ? { preconditioner: { shape: [shape.dimension], dtype: 'float32' } }
      : {};
  return [
    { index: 0, name: 'statistics', sections: [measured, word('weight', 'sum')], brings: {} },
    trainExchange(plan, shape, 1, {
      ...scale,
      statistics: { shape: [length], dtype: 'float32' },
      weight: { shape: [], dtype: 'float32' },
    }),
  ];
}

/** @throws TacitError plan/refused if a section cannot be summed under masks */
export function checkMaskable(exchanges: readonly Exchange[]): void {
  const list = exchanges.flatMap(({ sections }) => sections).find(({ reduce }) => reduce === 'list');
  if (!list) return;
  throw new TacitError('plan/refused', `section ${list.name} needs each report by itself, which masks hide`, {
    where: 'privacy.mode',
    hint: 'Use privacy.mode sealed, or another way of aggregating.',
  });
}

/** Total number of words of an exchange's vector. */
export const wordsOf = (exchange: Exchange): number => exchange.sections.reduce((n, s) => n + s.length, 0);
