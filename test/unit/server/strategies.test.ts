import { describe, expect, test } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { fedavg } from '../../../server/strategies/fedavg.ts';
import { strategyOf } from '../../../server/strategies/registry.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const inputsFor = (plan: Plan, global: readonly number[], delta: readonly number[]) => {
  const [exchange] = exchangesOf(plan, { ...modelOf(plan).reportShape, dimension: global.length });
  const aggregate = { sections: { delta: Float32Array.from(delta) }, weight: 1, metrics: { loss: 0 } };
  return { plan, round: 0, exchange: exchange!, aggregate, global: Float32Array.from(global) };
};

describe('fedavg', () => {
  test('adds the mean of the deltas, times the server learning rate; the inputs stay as they are', () => {
    const plan = testPlan({ strategy: { name: 'fedavg', serverLearningRate: 0.5 } });
    const inputs = inputsFor(plan, [1, 2, -3], [2, -4, 0.25]);
    const { state, global, broadcast } = fedavg.apply({}, inputs);
    expect([...global!]).toEqual([2, 0, -2.875]);
    expect([...inputs.global]).toEqual([1, 2, -3]);
    expect(state).toEqual({});
    expect(broadcast).toBeUndefined();
  });

  test('has no state', () => {
    expect(fedavg.init(testPlan(), { dimension: 3, lossRange: [0, 1] })).toEqual({});
  });

  test('fails on an aggregate that has no delta for these parameters', () => {
    const inputs = inputsFor(testPlan(), [1, 2], [1]);
    expect(() => fedavg.apply({}, inputs)).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});

describe('the registry', () => {
  test('finds the strategy that a plan names', () => {
    expect(strategyOf(testPlan())).toBe(fedavg);
  });

  test('names the known ones for a name that it does not know', () => {
    const plan = { ...testPlan(), strategy: { name: 'constructor' } } as unknown as Plan;
    expect(() => strategyOf(plan)).toThrow(
      expect.objectContaining({
        code: 'plan/unknown-name',
        where: 'strategy.name',
        message: 'strategy.name: "constructor" is not one of fedavg, shared-statistics',
      }),
    );
  });
});
