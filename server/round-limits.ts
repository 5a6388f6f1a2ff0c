/** The counts and durations of a round, from the plan and from what the coordinator was told besides. */
import type { Plan } from '../protocol/plan.ts';
import type { RoundLimits } from './round-state.ts';

export interface LimitOptions {
  readonly exchanges: number;
  /** Whether this process has run no round yet, so that participants are still arriving. */
  readonly first?: boolean;
  /** Participants awaited before the first round. Default: the plan's minimum of reports. */
  readonly waitFor?: number | undefined;
  /** Of those, how many are asked no more. */
  readonly excluded?: number;
  /** How long a participant whose connection broke keeps its place. Default 15 s. */
  readonly graceMs?: number | undefined;
  /** How long a round that has enough, but not all, looks out for latecomers. Default 2 s; in the first round the plan's `recruitMs`. */
  readonly settleMs?: number | undefined;
  /** How long opening and using the reports of an exchange may take. Default 2 min. */
  readonly aggregateMs?: number | undefined;
  /** How long one stage of the exchange under masks waits for answers. Default 30 s, and no longer than training may take. */
  readonly stageMs?: number | undefined;
}

/** The limits of a round under `plan`. */
export function limitsOf(plan: Plan, options: LimitOptions): RoundLimits {
  const { cohort, maxCohort, overSelection, minReports, waitForAll, recruitMs, trainMs } = plan.rounds;
  const { exchanges, first = false, waitFor = minReports, excluded = 0 } = options;
  const { graceMs = 15_000, aggregateMs = 120_000, stageMs = 30_000 } = options;
  const settleMs = options.settleMs ?? (first ? recruitMs : 2_000);
  return {
    startWith: first ? Math.max(Math.min(waitFor, minReports), waitFor - excluded) : minReports,
    cohort,
    target: Math.min(maxCohort, Math.ceil(cohort * overSelection)),
    minReports,
    waitForAll,
    exchanges,
    recruitMs,
    trainMs,
    graceMs: Math.min(graceMs, trainMs),
    settleMs: Math.min(settleMs, recruitMs),
    aggregateMs,
    secure: plan.privacy.mode !== 'sealed',
    stageMs: Math.min(stageMs, trainMs),
  };
}
