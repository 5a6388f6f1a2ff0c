/**
 * What the training pool runs: jobs by name, each one file under jobs/. A job is a function of plain data to plain data, so
 * that it can be sent to a worker; everything it needs besides comes in its context.
 */
import type { DataContract, DataSource, SourceSpec } from '../data/source.ts';
import type { Executable, Program } from '../engine/engine.ts';

export interface Progress {
  readonly done: number;
  readonly total: number;
  /** Of the latest step, where there is one. */
  readonly loss?: number;
}

export interface JobContext {
  /**
   * The program made ready; kept for later jobs on the same worker, so a job sets all the state that it reads.
   * Every call on it is a point at which a cancelled job ends.
   */
  load(program: Program): Promise<Executable>;
  openSource(spec: SourceSpec, contract: DataContract): Promise<DataSource>;
  /** Ends the job here if it was cancelled; for long loops without an engine. @throws TacitError train/cancelled */
  checkpoint(): void;
  progress(progress: Progress): void;
}

/** Arrays in the output belong to the caller: a job must not return any that it (or a cache) keeps. */
export type Job<Input, Output> = (input: Input, context: JobContext) => Promise<Output>;
