import { describe, expect, it } from 'vitest';
import type { Group } from '../../../../learning/contracts.ts';
import type { Model } from '../../../../learning/model.ts';
import { wrapAroundBatches } from '../../../../learning/pool/batches.ts';
import { endOfRound, type LocalState, planKey, startOfRound, usable } from '../../../../learning/pool/local-state.ts';
import {
  DAPU_THRESHOLD,
  divergenceOf,
  driftAfter,
  EMA_AUTOSCALE,
  localShare,
  mix,
} from '../../../../learning/pool/write-back.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NamedArrays } from '../../../../protocol/tensors.ts';
import { tinyPlan } from './tiny.ts';

const vector = (...values: number[]) => float32([values.length], Float32Array.from(values));
const plan = tinyPlan();

const group = (name: string, changes: Partial<Group>): Group => ({
  name,
  manifest: { w: { shape: [2], dtype: 'float32' } },
  init: () => ({ w: vector(0, 0) }),
  trainable: true,
  aggregate: true,
  writeBack: 'global',
  persist: true,
  ...changes,
});
const modelWith = (...groups: Group[]): Model => ({
  groups: [group('encoder', { persist: false }), ...groups],
  specs: {},
  aggregated: {},
  encoderSpecs: {},
  reportShape: { dimension: 0, lossRange: [0, 1] },
  init: () => ({}),
});
const initial: NamedArrays = { 'encoder/w': vector(0, 0), 'head/w': vector(7, 7) };
const global: NamedArrays = { 'encoder/w': vector(1, 1), 'head/w': vector(2, 4) };
const kept = (changes: Partial<LocalState> = {}): LocalState => ({
  task: plan.task,
  plan: planKey(plan),
  lastRound: 4,
  arrays: { 'params/head/w': vector(10, 20) },
  drift: { divergence: 0.5, emaScale: 1 },
  ...changes,
});
const start = (changes: Partial<Group>, local: LocalState | undefined, round = 5): number[] =>
  Array.from(startOfRound(modelWith(group('head', changes)), global, () => initial, local, round)['head/w']!.data);

describe('write-back', () => {
  it('global takes what was sent, local what was kept, and a newcomer what was sent', () => {
    expect(start({ writeBack: 'global' }, kept())).toEqual([2, 4]);
    expect(start({ writeBack: 'local' }, kept())).toEqual([10, 20]);
    expect(start({ writeBack: 'local' }, undefined)).toEqual([2, 4]);
    expect(start({ writeBack: 'local', persist: false }, kept())).toEqual([2, 4]);
  });

  it('ema mixes by μ = min(1, λ·d): 0 is global, 1 is local', () => {
    const at = (emaScale: number): number[] =>
      start({ writeBack: 'ema' }, kept({ drift: { divergence: 0.5, emaScale } }));
    expect(at(0)).toEqual([2, 4]);
    expect(at(2)).toEqual([10, 20]);
    expect(at(100)).toEqual([10, 20]);
    expect(at(1)).toEqual([6, 12]);
    expect(at(0.5)).toEqual([4, 8]);
  });

  it('dapu keeps its own from the threshold on', () => {
    const at = (divergence: number): number[] =>
      start({ writeBack: 'dapu' }, kept({ drift: { divergence, emaScale: 1 } }));
    expect(at(DAPU_THRESHOLD - 1e-9)).toEqual([2, 4]);
    expect(at(DAPU_THRESHOLD)).toEqual([10, 20]);
  });

  it('ema and dapu forget a participant that sat out a round, local does not', () => {
    expect(start({ writeBack: 'ema' }, kept(), 6)).toEqual([2, 4]);
    expect(start({ writeBack: 'dapu' }, kept(), 6)).toEqual([2, 4]);
    expect(start({ writeBack: 'local' }, kept(), 6)).toEqual([10, 20]);
  });

  it('a group that nobody sends stays its own; at first it is initial, or a copy of the group it starts as', () => {
    expect(start({ aggregate: false, writeBack: 'local' }, kept())).toEqual([10, 20]);
    expect(start({ aggregate: false, writeBack: 'local' }, undefined)).toEqual([7, 7]);
    expect(start({ aggregate: false, writeBack: 'local', startsAs: 'encoder' }, undefined)).toEqual([1, 1]);
  });

  it('limits of the mixture are the operands themselves', () => {
    const [a, b] = [vector(1, 2), vector(3, 4)];
    expect(mix(a, b, 0)).toBe(b);
    expect(mix(a, b, 1)).toBe(a);
    expect(localShare('ema', undefined, true)).toBe(0);
  });

  it('divergence is the mean norm of the drift of encoder kernels; λ is set once so that the first μ is τ', () => {
    const before = {
      'encoder/a': float32([1, 2]),
      'encoder/b': float32([2, 1]),
      'encoder/bias': vector(0),
      'head/k': float32([1, 1]),
    };
    const after = {
      'encoder/a': float32([1, 2], Float32Array.of(3, 4)),
      'encoder/b': float32([2, 1], Float32Array.of(0, 1)),
      'encoder/bias': vector(100),
      'head/k': float32([1, 1], Float32Array.of(100)),
    };
    expect(divergenceOf(before, after)).toBe(3);
    const first = driftAfter(before, after, undefined);
    expect(first.emaScale * first.divergence).toBeCloseTo(EMA_AUTOSCALE, 12);
    expect(driftAfter(before, before, first)).toEqual({ divergence: 0, emaScale: first.emaScale });
    expect(driftAfter(before, before, undefined).emaScale).toBe(0);
  });
});

describe('local state', () => {
  it('belongs to one task under one plan, and not to an earlier round', () => {
    expect(usable(kept(), plan, 4)).toBeDefined();
    expect(usable(kept(), plan, 3)).toBeUndefined();
    expect(usable(kept({ task: 'other' }), plan, 5)).toBeUndefined();
    expect(usable(kept(), tinyPlan({ seed: 9 }), 5)).toBeUndefined();
    expect(usable(undefined, plan, 5)).toBeUndefined();
  });

  it('holds the groups that persist, and the optimiser only if the plan keeps it', () => {
    const after = {
      parameters: { 'encoder/w': vector(1, 1), 'head/w': vector(5, 6) },
      optimiser: { 'head/w/m': vector(1, 2) },
      drift: { divergence: 1, emaScale: 0.7 },
    };
    const model = modelWith(group('head', {}));
    expect(Object.keys(endOfRound(plan, model, 2, after).arrays)).toEqual(['params/head/w']);
    const keeping = tinyPlan({}, { optimiserState: 'keep' });
    const state = endOfRound(keeping, model, 2, after);
    expect(Object.keys(state.arrays)).toEqual(['params/head/w', 'optimiser/head/w/m']);
    expect(state).toMatchObject({ task: 'tiny', lastRound: 2, drift: after.drift });
    expect(startOfRound(model, global, () => initial, state, 3)['head/w']!.data).toEqual(global['head/w']!.data);
  });

  it('refuses kept values of another shape', () => {
    expect(() => start({ writeBack: 'local' }, kept({ arrays: { 'params/head/w': vector(1, 2, 3) } }))).toThrow(
      /local state/,
    );
  });
});

describe('wrapAroundBatches', () => {
  it('walks through every example before any comes again, in full batches across the seam', () => {
    const next = wrapAroundBatches(10, 4, stream(1, 'batches'));
    const drawn = Array.from({ length: 5 }, () => [...next()]);
    expect(drawn.every((batch) => batch.length === 4)).toBe(true);
    const flat = drawn.flat();
    for (const walk of [flat.slice(0, 10), flat.slice(10)]) {
      expect([...walk].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(flat.slice(0, 10)).not.toEqual(flat.slice(10));
  });

  it('fills a batch that is larger than the source', () => {
    const batch = wrapAroundBatches(3, 8, stream(1, 'batches'))();
    expect(batch.length).toBe(8);
    expect(new Set(batch)).toEqual(new Set([0, 1, 2]));
  });
});
