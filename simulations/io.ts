/** Where a simulation's words go; the CLI hands in its own. */

/** A committed round, as it is shown while a run goes on. Bytes are totals since the start over all participants. */
export interface RoundView {
  readonly round: number;
  readonly rounds: number;
  readonly cohort: number;
  readonly loss?: number | undefined;
  /** Privacy spent so far, under differential privacy. */
  readonly epsilon?: number | undefined;
  readonly secondsLeft?: number | undefined;
  readonly bytesUp?: number | undefined;
  readonly bytesDown?: number | undefined;
}

export interface SimulationIo {
  /** A state that the next one replaces. */
  progress(text: string): void;
  round(view: RoundView): void;
  /** A line for people. */
  print(text: string): void;
}

/** Says nothing. */
export const SILENT: SimulationIo = { progress: () => {}, round: () => {}, print: () => {} };
