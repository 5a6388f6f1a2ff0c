/**
 * Optimisers over named parameters: pure functions of parameters, gradients and state. State starts at zero.
 * Weight decay is decoupled (Loshchilov & Hutter 2019) for Adam, and added to the gradient (L2) for SGD, as is usual for each.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { OptimiserSpec } from '../protocol/plan.ts';
import type { NamedSpecs, TensorSpec } from '../protocol/tensors.ts';
import type { Manifest, Optimiser } from './contracts.ts';
import type { Tensors } from './engine/engine.ts';
import type { Ops } from './ops/ops.ts';

type Spec<Name> = Extract<OptimiserSpec, { name: Name }>;

const moments = (manifest: Manifest, ...suffixes: readonly string[]): NamedSpecs =>
  Object.fromEntries(
    Object.entries(manifest).flatMap(([name, spec]) =>
      suffixes.map((suffix): [string, TensorSpec] => [`${name}/${suffix}`, spec]),
    ),
  );

const SCALAR: TensorSpec = { shape: [], dtype: 'float32' };

/** old + rate·(target − old): an exponential moving average in three passes. */
const towards = ({ tf }: Ops, old: Tensor, target: Tensor, rate: number): Tensor =>
  tf.add(old, tf.mul(tf.sub(target, old), rate));

/**
 * Kingma & Ba 2015: θ ← θ − η·m̂/(√v̂ + ε), then decay θ ← θ − η·λ·θ of the old θ.
 * Bias correction without a step counter: `bias1` and `bias2` average the constant 1 as the moments average the gradient,
 * so they are 1 − βᵗ, and start at zero again when the moments do.
 */
function adam({ beta1, beta2, epsilon, weightDecay }: Spec<'adam'>): Optimiser {
  return {
    name: 'adam',
    state: (manifest) => ({ ...moments(manifest, 'm', 'v'), bias1: SCALAR, bias2: SCALAR }),
    apply: (nn, params, grads, state, learningRate) => {
      const { tf } = nn;
      const one = tf.scalar(1);
      const next: Record<string, Tensor> = {
        bias1: towards(nn, state.bias1!, one, 1 - beta1),
        bias2: towards(nn, state.bias2!, one, 1 - beta2),
      };
      // m̂/(√v̂ + ε) = m·√c₂/c₁ / (√v + ε·√c₂) with the corrections c: one pass less over each tensor
      const root = tf.sqrt(next.bias2!);
      const rate = tf.mul(tf.div(learningRate, next.bias1!), root);
      const floor = tf.mul(root, epsilon);
      const updated: Record<string, Tensor> = {};
      for (const [name, param] of Object.entries(params)) {
        const gradient = grads[name]!;
        const m = towards(nn, state[`${name}/m`]!, gradient, 1 - beta1);
        const v = towards(nn, state[`${name}/v`]!, tf.square(gradient), 1 - beta2);
        const step = tf.mul(tf.div(m, tf.add(tf.sqrt(v), floor)), rate);
        const decayed = weightDecay === 0 ? param : tf.sub(param, tf.mul(param, tf.mul(learningRate, weightDecay)));
        updated[name] = tf.sub(decayed, step);
        next[`${name}/m`] = m;
        next[`${name}/v`] = v;
      }
      return { params: updated, state: next };
    },
  };
}

/** u ← momentum·u + g + λ·θ, θ ← θ − η·u (the form of PyTorch and TensorFlow: the rate is outside of the momentum). */
function sgd({ momentum, weightDecay }: Spec<'sgd'>): Optimiser {
  return {
    name: 'sgd',
    state: (manifest) => (momentum === 0 ? {} : moments(manifest, 'momentum')),
    apply: ({ tf }, params, grads, state, learningRate) => {
      const next: Record<string, Tensor> = {};
      const updated: Record<string, Tensor> = {};
      for (const [name, param] of Object.entries(params)) {
        const gradient = weightDecay === 0 ? grads[name]! : tf.add(grads[name]!, tf.mul(param, weightDecay));
        const old = state[`${name}/momentum`];
        const direction = old ? tf.add(tf.mul(old, momentum), gradient) : gradient;
        if (old) next[`${name}/momentum`] = direction;
        updated[name] = tf.sub(param, tf.mul(direction, learningRate));
      }
      return { params: updated, state: next };
    },
  };
}

/** The optimiser that a plan names. */
export const optimiserOf = (spec: OptimiserSpec): Optimiser => (spec.name === 'adam' ? adam(spec) : sgd(spec));

/** All gradients scaled by min(1, limit/‖g‖), with the norm over all of them. Pascanu et al. 2013. */
export function clipByNorm({ tf }: Ops, grads: Tensors, limit: number): Tensors {
  const squares = Object.values(grads).map((g) => tf.sum(tf.square(g)));
  const total = squares.reduce((sum, square) => tf.add(sum, square));
  const factor = tf.div(limit, tf.sqrt(tf.maximum(total, limit * limit)));
  return Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, tf.mul(g, factor)]));
}
