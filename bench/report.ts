/** What every benchmark prints: exactly one JSON line. */
import { availableParallelism, cpus } from 'node:os';

export interface BenchReport {
  readonly results: readonly Readonly<Record<string, unknown>>[];
  readonly ratios: Readonly<Record<string, number>>;
  /** Versions of what was compared, and whatever a reader needs to judge the figures. */
  readonly notes?: Readonly<Record<string, unknown>>;
}

export interface BenchIo {
  /** A line of progress on stderr. */
  progress(text: string): void;
  readonly signal: AbortSignal;
}

/** One benchmark: its flags are its own. */
export type Bench = (args: readonly string[], io: BenchIo) => Promise<BenchReport>;

export const machine = (): { cpu: string; cores: number; node: string } => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  node: process.version,
});
