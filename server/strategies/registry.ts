/** The strategies that a plan can name. Adding one: a file beside this one, its schema in protocol/plan.ts, and a line here. */
import type { Plan } from '../../protocol/plan.ts';
import { unknownName } from '../../protocol/plan-error.ts';
import { fedavg } from './fedavg.ts';
import { sharedStatistics } from './shared-statistics.ts';
import type { Strategy } from './strategy.ts';

const STRATEGIES: Readonly<Record<Plan['strategy']['name'], Strategy>> = {
  fedavg,
  'shared-statistics': sharedStatistics,
};

/** @throws TacitError plan/unknown-name, listing the known ones */
export function strategyOf(plan: Plan): Strategy {
  const { name } = plan.strategy;
  if (!Object.hasOwn(STRATEGIES, name)) throw unknownName('strategy.name', name, Object.keys(STRATEGIES));
  return STRATEGIES[name];
}
