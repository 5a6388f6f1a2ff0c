/** What the main job measured, as plain data: the last line of `--json`, result.json and the report are made from it. */
import type { BundledName } from '../learning/data/source.ts';
import type { Confusion } from '../learning/evaluation/confusion.ts';
import type { LabelCurve, ScoredCurve } from '../learning/evaluation/label-budget.ts';
import { type PairedDifference, pairedDifferences } from '../learning/evaluation/paired-difference.ts';
import type { RoundSummary } from '../server/events.ts';
import type { RunSpent } from './privacy-spent.ts';

/** The rows of the table, in the order in which they are shown. */
export const ROWS = [
  'pixels',
  'random',
  'scratch',
  'local',
  'central',
  'fedavg',
  'federated',
  'federatedFinetuned',
] as const;
export type RowName = (typeof ROWS)[number];

/** The rows that `federated` is compared with, by label draw and test image. */
export type Compared = Extract<RowName, 'scratch' | 'fedavg' | 'central'>;

/** Row `federated` less each of these, on the same draws and test images, per label count. */
export type Differences = Readonly<Record<Compared, readonly PairedDifference[]>>;

/** One list of differences for each row that is compared with. */
export const forCompared = <T>(of: (row: Compared) => readonly T[]): Readonly<Record<Compared, readonly T[]>> => ({
  scratch: of('scratch'),
  fedavg: of('fedavg'),
  central: of('central'),
});

export const differencesOf = (rows: Readonly<Record<Compared | 'federated', ScoredCurve>>): Differences =>
  forCompared((row) => pairedDifferences(rows.federated, rows[row]));

/** What each row is, in the words of the table; `rowLabels` knows better what `central` is. */
const ROW_LABELS: Readonly<Record<RowName, string>> = {
  pixels: 'raw pixels + logistic regression',
  random: 'random encoder + linear probe',
  scratch: 'from scratch, same labels and augmentation',
  local: 'local-only SSL (mean of participants)',
  central: 'centralised SSL, same samples seen',
  fedavg: 'federated SSL by plain averaging, same samples seen',
  federated: 'federated SSL + linear probe',
  federatedFinetuned: 'federated SSL + fine-tuning (LP-FT)',
};

/** What the row `central` trains on: the very batches and views of the federated run, or batches of its own. */
export type Control = 'paired' | 'own-batches';

/** What each row of this result is. */
export const rowLabels = ({ control }: Pick<MainJobResult, 'control'>): Readonly<Record<RowName, string>> =>
  control === 'paired'
    ? { ...ROW_LABELS, central: 'centralised SSL on the same batches (paired control)' }
    : ROW_LABELS;

/** What the row `central` is, for whoever reads only this. */
export function controlSentence({ control, history, participants }: MainJobResult): string {
  if (control === 'own-batches')
    return 'Centralised: one machine with all images and batches of its own, as many samples seen as by all participants together.';
  const short = history.filter((round) => round.participants < participants).length;
  const lost = `In ${short} of ${history.length} rounds a report was missing, which the control does not leave out.`;
  return [
    'Centralised, a paired control: one machine with all images takes a step for each round on the very images and views that the participants drew, weighted as they were, so the two differ in nothing but federation.',
    'Rounding differs, and grows over the rounds, so they do not end in the same weights. With batches of its own, or smaller ones, one machine may do better or worse.',
    ...(short > 0 ? [lost] : []),
  ].join(' ');
}

export type Partition = { readonly kind: 'iid' } | { readonly kind: 'dirichlet'; readonly alpha: number };

export const partitionName = (p: Partition): string => (p.kind === 'iid' ? 'iid' : `dirichlet-${p.alpha}`);

/** The test images under the federated encoder, with all training labels known. */
export interface EmbeddingPicture {
  /** Points [images, 2] in the square from −1 to 1, row by row. */
  readonly map: readonly number[];
  /** Class of each test image. */
  readonly labels: readonly number[];
  /** Of a linear probe: counts[truth][predicted], recall of each class, and the fraction that is right. */
  readonly confusion: Confusion;
  readonly perClass: readonly (number | null)[];
  readonly accuracy: number;
}

export interface MainJobResult {
  readonly dataset: BundledName;
  readonly partition: string;
  readonly quick: boolean;
  readonly participants: number;
  readonly rounds: number;
  /** The whole job, and the federated part of it. */
  readonly seconds: number;
  readonly federatedSeconds: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly engine: string;
  readonly privacyMode: string;
  /** How the server must be trusted, in one sentence. */
  readonly privacyStatement: string;
  /** Under differential privacy. */
  readonly privacySpent?: RunSpent;
  readonly modelHash: string;
  readonly fingerprint: string;
  readonly seed: number;
  readonly testImages: number;
  readonly labelsPerClass: readonly number[];
  readonly rows: Readonly<Record<RowName, LabelCurve>>;
  readonly differences: Differences;
  /** Accuracy of each participant's own encoder, had it trained alone, per label count. */
  readonly alone: readonly (readonly number[])[];
  /** What the row `central` trains on. */
  readonly control: Control;
  /** Name of the plan's strategy. */
  readonly strategy: string;
  /** Accuracy with a weighted k-nearest-neighbour vote over all labelled training images, and the RankMe of test features. */
  readonly knn: number;
  readonly rankMe: number;
  readonly picture: EmbeddingPicture;
  readonly history: readonly RoundSummary[];
  /** Images per participant (rows) and class (columns). */
  readonly partitionMatrix: readonly (readonly number[])[];
  readonly classes: readonly string[];
  /** What the validation split chose, by row. */
  readonly chosen: Readonly<Record<string, string>>;
}
