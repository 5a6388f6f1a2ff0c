/** The jobs that a training pool can run. A new one is a file under jobs/ and a line here. */
import { central } from './jobs/central.ts';
import { embed } from './jobs/embed.ts';
import { embeddingMap } from './jobs/embedding-map.ts';
import { evaluate } from './jobs/evaluate.ts';
import { fineTune } from './jobs/fine-tune.ts';
import { pooled } from './jobs/pooled.ts';
import { probe } from './jobs/probe.ts';
import { statistics } from './jobs/statistics.ts';
import { train } from './jobs/train.ts';
import { views } from './jobs/views.ts';

export const jobs = {
  /** What a participant measures before it trains, where the strategy asks for it. */
  statistics,
  /** A participant's local round. */
  train,
  /** Self-supervised training of one model on one source, with nobody else. */
  central,
  /** The rounds of a federation as steps of one machine, on the same batches. */
  pooled,
  /** Features of every example of a source. */
  embed,
  /** A label-budget curve of features. */
  probe,
  /** What is known of features with all their labels: probe, neighbours, rank. */
  evaluate,
  /** Supervised training on a few labels: fine-tuning, or from scratch. */
  'fine-tune': fineTune,
  /** Augmented views of some examples. */
  views,
  /** Features as points in the plane. */
  'embedding-map': embeddingMap,
} as const;

export type JobName = keyof typeof jobs;
export type JobInput<Name extends JobName> = Parameters<(typeof jobs)[Name]>[0];
export type JobOutput<Name extends JobName> = Awaited<ReturnType<(typeof jobs)[Name]>>;
