/** The strategies that a plan can name. Adding one: a file beside this one, its schema in protocol/plan.ts, and a line here. */
import { TacitError } from '../../protocol/errors.ts';
import type { Plan } from '../../protocol/plan.ts';
import { fedavg } from './fedavg.ts';
import { sharedStatistics } from './shared-statistics.ts';
import type { Strategy } from './strategy.ts';

const STRATEGIES: Readonly<Record<Plan['strategy']['name'], Strategy>> = {
  fedavg,
  'shared-statistics': sharedStatistics,
};

/** @throws TacitError plan/unknown-name, listing the known ones */
export function strategyOf(plan: Plan): Strategy {
  const strategy = Object.hasOwn(STRATEGIES, plan.strategy.name) ? STRATEGIES[plan.strategy.name] : undefined;
  if (strategy) return strategy;
  throw new TacitError('plan/unknown-name', `there is no strategy "${plan.strategy.name}"`, {
    where: 'strategy.name',
    hint: `Known: ${Object.keys(STRATEGIES).join(', ')}.`,
  });
}
