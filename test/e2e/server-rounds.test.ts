/** Whole runs over the in-memory transport: what honest participants get out of a coordinator. */
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { asBytes, toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { flatten } from '../../protocol/flatten.ts';
import {
  commitStatement,
  finishedStatement,
  GENESIS_HEAD,
  headAfter,
  verifyStatement,
} from '../../protocol/identity.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { SuiteName } from '../../protocol/plan-privacy.ts';
import { encodeSafetensors } from '../../protocol/safetensors.ts';
import { float32 } from '../../protocol/tensors.ts';
import type { RunResult } from '../../server/events.ts';
import {
  expectedModel,
  type FakeParticipant,
  harness,
  parametersOf,
  participants,
  rest,
  testPlan,
  updateOf,
  wordsOf,
} from './server-harness.ts';

const initialOf = (plan: Plan): Float32Array => flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);

/** The largest difference between a result and what is expected of it. */
const errorOf = (plan: Plan, { model }: RunResult, expected: Float64Array | Float32Array): number => {
  const actual = parametersOf(plan, model);
  expect(actual).toHaveLength(expected.length);
  return actual.reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected[i]!)), 0);
};

/** Runs a plan with `count` participants that all do their part. */
async function completeRun(
  plan: Plan,
  count: number,
  order = (people: FakeParticipant[]) => people,
): Promise<RunResult> {
  const at = await harness(plan, { waitFor: count });
  const run = at.coordinator.run();
  const people = await participants(at, count);
  await Promise.all(order(people).map((p) => p.takePart()));
  const result = await run;
  await at.coordinator.stop();
  return result;
}

describe('a run', () => {
  test('is no flood of requests, however quick its rounds are', async () => {
    const { history } = await completeRun(testPlan({ rounds: { count: 100 } }), 3);
    expect(history.map(({ participants: n, attempt }) => `${n}/${attempt}`)).toEqual(Array(100).fill('3/0'));
  });

  test('gives what federated averaging of the updates gives, round after round', async () => {
    const plan = testPlan();
    const at = await harness(plan);
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    const result = await run;
    await at.coordinator.stop();

    let expected: Float64Array = Float64Array.from(initialOf(plan));
    for (let round = 0; round < 2; round++) {
      const updates = people.map((p) => updateOf(p, round));
      expected = expectedModel(plan, Float32Array.from(expected), updates);
    }
    // The fixed-point step is below 1e-8 for this cohort, float32 is good for 1e-7.
    expect(errorOf(plan, result, expected)).toBeLessThan(1e-6);
    expect(result).toMatchObject({
      finished: true,
      rounds: 2,
      modelHash: toHex(await nodeCrypto.sha256(result.model)),
      bytesUp: expect.any(Number),
    });
    expect(result.history.map(({ round, attempt, participants }) => [round, attempt, participants])).toEqual([
      [0, 0, 3],
      [1, 0, 3],
    ]);
  });

  test('clips updates that are too long, weights by examples up to the maximum, and reports the weighted mean loss', async () => {
    const plan = testPlan({ rounds: { count: 1 }, privacy: { clipNorm: 0.1, maxExamples: 40 } });
    const at = await harness(plan);
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    const result = await run;
    await at.coordinator.stop();
    const updates = people.map((p) => updateOf(p, 0));
    expect(updates.some(({ delta }) => Math.sqrt(delta.reduce((s, x) => s + x * x, 0)) > 0.1)).toBe(true);
    expect(errorOf(plan, result, expectedModel(plan, initialOf(plan), updates))).toBeLessThan(1e-6);

    const weights = updates.map(({ examples }) => Math.min(40, examples));
    const total = weights.reduce((a, b) => a + b, 0);
    const loss = updates.reduce((sum, u, k) => sum + (u.loss * weights[k]!) / total, 0);
    const [summary] = result.history;
    expect(summary!.loss).toBeCloseTo(loss, 4);
    expect(summary!.weight).toBeCloseTo(total / 40, 5);
    expect(summary!.updateNorm).toBeLessThanOrEqual(0.1 + 1e-6);
    expect(summary!.bytesUp).toBeGreaterThan(3 * 4 * modelOf(plan).reportShape.dimension);
  });

  test('leaves a signed transcript and a final model that every participant can check and keep', async () => {
    const plan = testPlan({ rounds: { count: 3 } });
    const at = await harness(plan);
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    const result = await run;
    for (const person of people) {
      let head = GENESIS_HEAD;
      const commits = person.log.filter((m) => m.type === 'committed').map((m) => m.commit);
      expect(commits.map((c) => c.round)).toEqual([0, 1, 2]);
      for (const commit of commits) {
        await verifyStatement(nodeCrypto, at.serverKey, commitStatement(commit), commit.signature);
        expect(toHex(commit.prevHead)).toBe(toHex(head));
        expect(commit.participants).toBe(3);
        head = await headAfter(nodeCrypto, commit);
      }
      const finished = person.log.find((m) => m.type === 'finished')!;
      const facts = {
        task: plan.task,
        planHash: person.joined!.planHash,
        modelHash: finished.model.hash,
        modelBytes: finished.model.bytes,
        rounds: finished.rounds,
      };
      await verifyStatement(nodeCrypto, at.serverKey, finishedStatement(facts), finished.signature);
      expect(toHex(commits.at(-1)!.modelHash)).toBe(toHex(finished.model.hash));
      expect(Buffer.compare(await person.pull(finished.model), result.model)).toBe(0);
    }
    await at.coordinator.stop();
  });

  test('who joins after the end is told so, and can have the model', async () => {
    const plan = testPlan({ rounds: { count: 1 } });
    const at = await harness(plan);
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    const result = await run;
    const [late] = await participants(at, 1, 'late');
    expect(await late!.signIn()).toMatchObject({ finished: true, round: 1 });
    const { model } = await late!.next('finished');
    expect(Buffer.compare(await late!.pull(model), result.model)).toBe(0);
    await late!.peer.request({ type: 'bye' });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(late!.closed).toBeDefined();
    await at.coordinator.stop();
  });
});

describe('weights to start from', () => {
  test("are sent instead of the plan's own, without what is not aggregated", async () => {
    const plan = testPlan();
    const initialModel = modelOf(plan).init('elsewhere');
    const at = await harness(plan, { initialModel: { ...initialModel, 'head/kernel': float32([1]) } });
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.signIn()));
    const offered = await people[0]!.offer();
    const exchange = await people[0]!.accept(offered.offerHash);
    const sent = parametersOf(plan, await people[0]!.pull(exchange.blobs[0]!));
    expect(Buffer.compare(asBytes(sent), asBytes(flatten(initialModel, modelOf(plan).aggregated)))).toBe(0);
    await at.coordinator.stop();
    await run;
  });

  test('that lack a tensor, or hold NaN, are refused before anything is offered', async () => {
    const plan = testPlan();
    const good = modelOf(plan).init(1);
    const [first] = Object.keys(modelOf(plan).aggregated);
    const { [first!]: tensor, ...rest } = good;
    const incomplete = await harness(plan, { initialModel: rest });
    await expect(incomplete.coordinator.run()).rejects.toMatchObject({ code: 'weights/mismatch' });
    const data = Float32Array.from(tensor!.data).fill(Number.NaN, 0, 1);
    const broken = await harness(plan, { initialModel: { ...good, [first!]: float32(tensor!.shape, data) } });
    await expect(broken.coordinator.run()).rejects.toMatchObject({ code: 'weights/not-finite', where: first });
  });

  test('that the plan names by their hash must be given, and must be those', async () => {
    const { aggregated, init } = modelOf(testPlan());
    const drawn = init('elsewhere');
    const model = Object.fromEntries(Object.keys(aggregated).map((name) => [name, drawn[name]!]));
    const modelHash = toHex(await nodeCrypto.sha256(encodeSafetensors(model)));
    const plan = testPlan({ initialWeights: { modelHash } });
    const without = await harness(plan);
    await expect(without.coordinator.run()).rejects.toMatchObject({ code: 'plan/refused', where: 'initialWeights' });
    const other = await harness(plan, { initialModel: modelOf(plan).init('elsewhere else') });
    await expect(other.coordinator.run()).rejects.toMatchObject({ code: 'weights/mismatch' });
    const right = await harness(plan, { initialModel: model });
    const run = right.coordinator.run();
    const [person] = await participants(right, 1);
    await person!.signIn();
    await right.coordinator.stop();
    expect((await run).modelHash).toBe(modelHash);
  });
});

describe('determinism', () => {
  test('the same seed and the same participants give the same model, whatever the order of arrival', async () => {
    const plan = testPlan();
    const first = await completeRun(plan, 3);
    const second = await completeRun(plan, 3, (people) => [...people].reverse());
    expect(second.modelHash).toBe(first.modelHash);
    const other = await completeRun(testPlan({ seed: 4 }), 3);
    expect(other.modelHash).not.toBe(first.modelHash);
  });

  test('the cohort is drawn by seed and round from all that are there', async () => {
    const plan = testPlan({ rounds: { count: 3, cohort: 2 } });
    const first = await completeRun(plan, 5);
    const second = await completeRun(plan, 5, (people) => [...people].reverse());
    expect(second.modelHash).toBe(first.modelHash);
    expect(first.history.every((summary) => summary.participants === 2)).toBe(true);
  });

  test('both sealing suites give the same bits', async () => {
    const plan = testPlan({ rounds: { count: 1 } });
    const hashes = new Set<string>();
    for (const suite of ['x25519-aes256gcm', 'nacl-box'] satisfies SuiteName[]) {
      const at = await harness(plan);
      const run = at.coordinator.run();
      const people = await participants(at, 3);
      await Promise.all(people.map((p) => p.signIn()));
      for (const person of people) {
        const offered = await person.offer();
        await person.accept(offered.offerHash);
        const sealed = await person.seal(offered, wordsOf(plan, updateOf(person, 0)), { suite });
        await person.push(offered.offerHash, sealed, suite);
        await person.commit(offered.offerHash, sealed);
      }
      hashes.add((await run).modelHash);
      await at.coordinator.stop();
    }
    expect(hashes.size).toBe(1);
  });
});

describe('the size of a round', () => {
  test('more are asked than are needed; the first reports count, and the others are told at once', async () => {
    const plan = testPlan({ rounds: { count: 1, cohort: 2, overSelection: 1.5, waitForAll: false } });
    const at = await harness(plan, { waitFor: 4 });
    const run = at.coordinator.run();
    const people = await participants(at, 4);
    for (const person of people) await person.signIn();
    await rest();
    const cohort = people.filter((p) => p.log.some((m) => m.type === 'offer'));
    expect(cohort).toHaveLength(3);
    const [first, second, third] = cohort as [FakeParticipant, FakeParticipant, FakeParticipant];
    const offered = await first.offer();
    await third.accept(offered.offerHash);
    await first.report(offered);
    await second.report(offered);
    expect(await third.next('failed')).toMatchObject({ code: 'round/late', round: 0, attempt: 0 });
    const result = await run;
    expect(result.history[0]).toMatchObject({ participants: 2, accepted: 3 });
    const updates = [first, second].map((p) => updateOf(p, 0));
    expect(errorOf(plan, result, expectedModel(plan, initialOf(plan), updates))).toBeLessThan(1e-6);
    await at.coordinator.stop();
  });

  test('who is not selected is told to wait', async () => {
    const plan = testPlan({ rounds: { count: 1, cohort: 2 } });
    const at = await harness(plan, { waitFor: 3 });
    const run = at.coordinator.run();
    const people = await participants(at, 3);
    const ends = people.map((p) => p.takePart());
    await Promise.all(ends);
    await run;
    const waits = people.flatMap((p) => p.log.filter((m) => m.type === 'wait'));
    expect(waits).toHaveLength(1);
    expect(waits[0]).toMatchObject({ code: 'round/not-selected' });
    expect(waits[0]!.retryAfterMs).toBeGreaterThan(0);
    await at.coordinator.stop();
  });
});
