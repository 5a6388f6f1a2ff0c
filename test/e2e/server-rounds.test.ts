/** Whole runs over the in-memory transport: what honest participants get out of a coordinator. */
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { equalBytes, toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { flatten } from '../../protocol/flatten.ts';
import { commitStatement, finishedStatement, headAfter, verifyStatement } from '../../protocol/identity.ts';
import { memoryStore } from '../../server/store/memory.ts';
import { expectedModel, harness, parametersOf, participants, testPlan, updateOf } from './server-harness.ts';

describe('a run', () => {
  test('commits every round: the model is what federated averaging of the updates gives', async () => {
    const plan = testPlan();
    const at = await harness(plan);
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    const result = await run;

    let expected: Float32Array | Float64Array = flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);
    for (let round = 0; round < 2; round++) {
      expected = expectedModel(
        plan,
        Float32Array.from(expected),
        people.map((p) => updateOf(p, round)),
      );
    }
    const actual = parametersOf(plan, result.model);
    expect(actual).toHaveLength(expected.length);
    const error = Math.max(...actual.map((x, i) => Math.abs(x - expected[i]!)));
    // The fixed-point step is about 1e-8 for this cohort, float32 about 1e-7.
    expect(error).toBeLessThan(1e-6);
    expect(result).toMatchObject({
      finished: true,
      rounds: 2,
      modelHash: toHex(await nodeCrypto.sha256(result.model)),
    });
    expect(result.history.map((s) => [s.round, s.attempt, s.participants])).toEqual([
      [0, 0, 3],
      [1, 0, 3],
    ]);
    await at.coordinator.stop();
  });
});
