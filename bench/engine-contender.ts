/** What `npm run bench -- engine` times: something that runs a step, set up once and asked for several runs at a time. */
import type { StepName } from './engine-steps.ts';

export interface Run {
  readonly ms: number;
  /** Time of its process on all cores, where that can be told: what remains of a measurement on a machine that others use. */
  readonly cpuMs?: number;
}

export interface Contender {
  readonly engine: string;
  readonly threads: number;
  /** Images per step, where it is not the step's own: an engine that would take minutes. */
  readonly batch?: number;
  measure(runs: number): Promise<readonly Run[]>;
  /** Of a step's time, what goes into copies between JavaScript and the engine; where there are such copies. The median of so many runs. */
  copyShare?(runs: number): Promise<number>;
  close(): Promise<void> | void;
}

/** The contenders of one kind for a step: none where what they need is not there. */
export type Contenders = (step: StepName, threads: readonly number[]) => Promise<readonly Contender[]>;
