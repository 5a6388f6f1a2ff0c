import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseOverride } from '../../../cli/overrides.ts';
import { bundledPlan, loadPlan } from '../../../cli/plan-file.ts';
import { DEFAULT_POLICY } from '../../../client/policy.ts';
import { completePlan } from '../../../learning/registry.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tacit-plan-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const set = (...texts: string[]) => ({ overrides: texts.map(parseOverride) });

test.each(['digits', 'fashion-mnist'])(
  'the plan %s is repeatable, and acceptable to the default policy',
  async (name) => {
    const plan = await loadPlan(name);
    expect(plan.task).toBe(name);
    expect(plan.rounds).toMatchObject({ cohort: 10, overSelection: 1, waitForAll: true, maxCohort: 10 });
    expect(plan.rounds.cohort).toBeGreaterThanOrEqual(DEFAULT_POLICY.minCohort);
    expect(completePlan(plan)).toEqual(plan);
  },
);

test.each(['digits', 'fashion-mnist'])(
  '--quick makes %s smaller and changes nothing about what is learned from',
  async (name) => {
    const [full, quick] = [await loadPlan(name), await loadPlan(name, { overlays: [bundledPlan(`${name}.quick`)] })];
    expect(quick.rounds.count).toBeLessThan(full.rounds.count);
    expect(quick.evaluation.draws).toBeLessThan(full.evaluation.draws);
    expect(quick.rounds.cohort).toBe(full.rounds.cohort);
    expect([quick.data, quick.privacy, quick.seed]).toEqual([full.data, full.privacy, full.seed]);
  },
);

test('overrides lie over --quick, and --seed over both', async () => {
  const plan = await loadPlan('digits', {
    overlays: [bundledPlan('digits.quick')],
    ...set('rounds=3', 'encoder=conv', 'seed=1'),
    seed: 9,
  });
  expect(plan.rounds.count).toBe(3);
  expect(plan.encoder).toMatchObject({ name: 'conv' });
  expect(plan.encoder).not.toHaveProperty('hidden');
  expect(plan.seed).toBe(9);
});

test('a missing overlay is passed over', async () => {
  expect(await loadPlan('digits', { overlays: [join(dir, 'nowhere.yaml')] })).toEqual(await loadPlan('digits'));
});

test('JSON is read as YAML is', async () => {
  writeFileSync(join(dir, 'plan.json'), JSON.stringify(await loadPlan('digits')));
  expect(await loadPlan(join(dir, 'plan.json'))).toEqual(await loadPlan('digits'));
});

test('where: line and column of a key, its nearest parent if it is missing, the override if that is to blame', async () => {
  const file = join(dir, 'where.yaml');
  writeFileSync(file, 'version: 1\ntask: t\nrounds:\n  count: 3\n  cohort: x\n');
  await expect(loadPlan(file)).rejects.toMatchObject({
    code: 'plan/invalid',
    where: expect.stringContaining(`${file}:1:1`),
  });
  const rest = await loadPlan('digits');
  const { rounds: _, ...without } = rest;
  writeFileSync(file, `${JSON.stringify(without).slice(0, -1)},\n"rounds": {"count": 3,\n  "cohort": "x"}}`);
  await expect(loadPlan(file)).rejects.toMatchObject({ where: `${file}:3:3 (rounds.cohort)` });
  await expect(loadPlan(file, set('cohort=4', 'rounds.count=0'))).rejects.toMatchObject({
    where: '--set rounds.count=0 (rounds.count)',
  });
});

test('two keys of one name are an error of the file', async () => {
  const file = join(dir, 'twice.yaml');
  writeFileSync(file, 'version: 1\ntask: a\ntask: b\n');
  await expect(loadPlan(file)).rejects.toMatchObject({ code: 'plan/unreadable', where: `${file}:3:1` });
});

test('a strategy that there is not is answered with those that there are', async () => {
  await expect(loadPlan('digits', set('strategy={name: fedfoo}'))).rejects.toMatchObject({
    code: 'plan/unknown-name',
    message: 'strategy.name: "fedfoo" is not one of fedavg, shared-statistics',
  });
});
