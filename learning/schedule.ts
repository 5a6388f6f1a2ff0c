/** Schedules over the rounds of a run. */
import type { Plan } from '../protocol/plan.ts';

/**
 * Learning rate of a round, counted from 0; constant within it. Linear warm-up over `warmupRounds`, then
 * `cosine`: ½·η₀·(1 + cos(π·r/R)) over the R rounds that remain.
 */
export function learningRateAt(plan: Plan, round: number): number {
  const { optimiser, schedule } = plan.training;
  const { warmupRounds } = schedule;
  if (round < warmupRounds) return (optimiser.learningRate * (round + 1)) / (warmupRounds + 1);
  if (schedule.name === 'constant') return optimiser.learningRate;
  const progress = Math.min(1, (round - warmupRounds) / Math.max(1, plan.rounds.count - warmupRounds));
  return 0.5 * optimiser.learningRate * (1 + Math.cos(Math.PI * progress));
}

/** Rate of a local step under `shared-statistics`: the schedule's, but in round 0, when nothing is known of the gradient's size. */
export const localRateAt = (plan: Plan, round: number): number =>
  round === 0 ? FIRST_LOCAL_RATE : learningRateAt(plan, round);

const FIRST_LOCAL_RATE = 0.01;
