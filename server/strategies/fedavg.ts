/**
 * Federated averaging: new = global + serverLearningRate · weighted mean of the deltas.
 * McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { Strategy } from './strategy.ts';

export const fedavg: Strategy = {
  name: 'fedavg',
  init: () => ({}),
  apply: (state, { plan, exchange, aggregate, global }) => {
    if (plan.strategy.name !== 'fedavg') throw new TacitError('internal', 'fedavg under a plan of another strategy');
    const delta = aggregate.sections.delta;
    if (!delta || delta.length !== global.length) {
      throw new TacitError(
        'internal',
        `fedavg: exchange "${exchange.name}" has no section "delta" of ${global.length}`,
      );
    }
    const rate = plan.strategy.serverLearningRate;
    return { state, global: global.map((value, i) => value + rate * delta[i]!) };
  },
};
