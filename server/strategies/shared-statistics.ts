/**
 * Shared statistics: the loss of each participant counts the others' data through a mean of bounded terms that everybody shares, so
 * that the weighted sum of gradients is the gradient on all data, however they are spread. Two exchanges a round: the statistics,
 * then the deltas.
 *   exact  a delta is minus the gradient on the batch that was measured; Adam takes a step with the mean, as one machine with all
 *          batches would
 *   local  a delta is the way of E preconditioned steps y ← y − η·D⊙g, D = 1 / (√v̂ + ε + 0.03·mean over the tensor of √v̂), which is
 *          undone to the mean gradient that it stands for; then Adam with D in the place of 1/√v̂
 */
import { modelOf } from '../../learning/model.ts';
import { learningRateAt, localRateAt } from '../../learning/schedule.ts';
import { TacitError } from '../../protocol/errors.ts';
import type { OptimiserSpec, Plan } from '../../protocol/plan.ts';
import { float32, type NamedArrays, scalar, sizeOf } from '../../protocol/tensors.ts';
import type { Strategy, StrategyInputs, StrategyOutputs } from './strategy.ts';

type Adam = Extract<OptimiserSpec, { name: 'adam' }>;

/** The moments of the mean gradient, and how many steps they have seen. */
interface Moments {
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly steps: number;
}

/** How much of a tensor's mean root goes into each of its denominators: a coordinate that saw no gradient takes no giant step. */
const FLOOR = 0.03;

const momentsIn = (state: NamedArrays): Moments => ({
  m: state.m!.data as Float32Array,
  v: state.v!.data as Float32Array,
  steps: state.steps!.data[0]!,
});

const stateOf = ({ m, v, steps }: Moments): NamedArrays => ({
  m: float32([m.length], m),
  v: float32([v.length], v),
  steps: scalar(steps),
});

function adamOf({ training }: Plan): Adam {
  if (training.optimiser.name === 'adam') return training.optimiser;
  throw new TacitError('plan/refused', 'the coordinator steps with adam', { where: 'training.optimiser.name' });
}

/** Σ p·x of a section. @throws TacitError internal */
function meanOf({ aggregate, exchange }: StrategyInputs, name: string, length: number): Float32Array {
  const section = aggregate.sections[name];
  if (section?.length === length) return section;
  throw new TacitError('internal', `exchange "${exchange.name}" has no section "${name}" of ${length}`);
}

// Plain loops: these vectors have as many values as the model has parameters, and typed arrays' own iteration is much slower.
/** min(1, limit/‖g‖). */
function clipFactor(gradient: Float32Array | Float64Array, limit: number | null): number {
  if (limit === null) return 1;
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += gradient[i]! ** 2;
  return limit / Math.max(limit, Math.sqrt(squares));
}

/** The moments after a step with the gradient times `factor`. */
function updated(
  before: Moments,
  gradient: Float32Array | Float64Array,
  factor: number,
  { beta1, beta2 }: Adam,
): Moments {
  const m = new Float32Array(gradient.length);
  const v = new Float32Array(gradient.length);
  for (let i = 0; i < gradient.length; i++) {
    const g = factor * gradient[i]!;
    m[i] = beta1 * before.m[i]! + (1 - beta1) * g;
    v[i] = beta2 * before.v[i]! + (1 - beta2) * g * g;
  }
  return { m, v, steps: before.steps + 1 };
}

/** √v̂. */
function rootsOf({ v, steps }: Moments, { beta2 }: Adam): Float32Array {
  const correction = 1 - beta2 ** steps;
  const roots = new Float32Array(v.length);
  for (let i = 0; i < v.length; i++) roots[i] = Math.sqrt(v[i]! / correction);
  return roots;
}

/** 1 / (root + ε) in the place of each root. */
function inverted(roots: Float32Array, epsilon: number): Float32Array {
  for (let i = 0; i < roots.length; i++) roots[i] = 1 / (roots[i]! + epsilon);
  return roots;
}

/** The factor of each coordinate of a local step; 1 before anything is known of the gradient. */
function preconditioner(plan: Plan, moments: Moments): Float32Array {
  if (moments.steps === 0) return new Float32Array(moments.v.length).fill(1);
  const adam = adamOf(plan);
  const roots = rootsOf(moments, adam);
  const factors = new Float32Array(roots.length);
  let at = 0;
  for (const { shape } of Object.values(modelOf(plan).aggregated)) {
    const tensor = roots.subarray(at, at + sizeOf(shape));
    const mean = tensor.reduce((sum, root) => sum + root, 0) / tensor.length;
    for (const root of tensor) factors[at++] = 1 / (root + adam.epsilon + FLOOR * mean);
  }
  return factors;
}

/** θ ← θ − η·(m̂·d + λ·θ), d the factor of each coordinate. */
function stepped(plan: Plan, global: Float32Array, { m, steps }: Moments, factors: Float32Array, rate: number) {
  const { beta1, weightDecay } = adamOf(plan);
  const correction = 1 - beta1 ** steps;
  const next = new Float32Array(global.length);
  for (let i = 0; i < next.length; i++) {
    const value = global[i]!;
    next[i] = value - rate * ((m[i]! / correction) * factors[i]! + weightDecay * value);
  }
  return next;
}

function exactStep(moments: Moments, inputs: StrategyInputs): StrategyOutputs {
  const { plan, round, global } = inputs;
  const adam = adamOf(plan);
  const delta = meanOf(inputs, 'delta', global.length);
  const next = updated(moments, delta, -clipFactor(delta, plan.training.clipGradient), adam);
  const factors = inverted(rootsOf(next, adam), adam.epsilon);
  return { state: stateOf(next), global: stepped(plan, global, next, factors, learningRateAt(plan, round)) };
}

function localStep(moments: Moments, inputs: StrategyInputs): StrategyOutputs {
  const { plan, round, global } = inputs;
  const { steps } = plan.training;
  const delta = meanOf(inputs, 'delta', global.length);
  const factors = preconditioner(plan, moments);
  const length = localRateAt(plan, round) * steps;
  const gradient = new Float64Array(delta.length);
  for (let i = 0; i < delta.length; i++) gradient[i] = -delta[i]! / (length * factors[i]!);
  const next = updated(moments, gradient, 1, adamOf(plan));
  const rate = learningRateAt(plan, round) * steps;
  return { state: stateOf(next), global: stepped(plan, global, next, preconditioner(plan, next), rate) };
}

export const sharedStatistics: Strategy = {
  name: 'shared-statistics',
  init: (_, { dimension }) => stateOf({ m: new Float32Array(dimension), v: new Float32Array(dimension), steps: 0 }),
  apply: (state, inputs) => {
    const { plan, exchange, aggregate } = inputs;
    const local = plan.strategy.name === 'shared-statistics' && plan.strategy.mode === 'local';
    const moments = momentsIn(state);
    if (exchange.name === 'train') return (local ? localStep : exactStep)(moments, inputs);
    const { length } = exchange.sections[0]!;
    const known = {
      statistics: float32([length], meanOf(inputs, 'statistics', length)),
      weight: scalar(aggregate.weight),
    };
    if (!local) return { state, broadcast: known };
    return {
      state,
      broadcast: { ...known, preconditioner: float32([moments.v.length], preconditioner(plan, moments)) },
    };
  },
};
