/** Where a simulation's words go; the CLI hands in its own. */

/** A running or committed round, as it is shown while a run goes on. Bytes are totals since the start over all participants. */
export interface RoundView {
  /** 1 … rounds. */
  readonly round: number;
  readonly rounds: number;
  /** Participants in the round. */
  readonly cohort: number;
  /** Mean pretext loss over the cohort; absent before the round is committed. */
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
