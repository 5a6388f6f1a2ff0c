/**
 * L-BFGS (Nocedal, "Updating quasi-Newton matrices with limited storage", 1980) for smooth convex functions, with a
 * bracketing line search for the weak Wolfe conditions (Lewis & Overton 2013). Deterministic; float64.
 */
import { dot } from './products.ts';

/** Returns f(x) and writes ∇f(x) into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

export interface LbfgsOptions {
  /** Converged when the largest absolute component of the gradient is at most this. */
  readonly tolerance?: number;
  /** Converged also when a step promises to lower the value by no more than this; 0: never. */
  readonly gain?: number;
  readonly maxIterations?: number;
  /** Pairs of steps and gradient changes that are kept. */
  readonly memory?: number;
  /** Asked before each iteration, when the objective was last evaluated where that begins; without it, the identity is scaled. */
  readonly precondition?: (iteration: number) => Division;
}

/** Divides a vector in place by an estimate of the Hessian, symmetric and positive definite. */
export type Division = (vector: Float64Array) => void;

export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  readonly iterations: number;
  /** Largest absolute component of the gradient at `x`. */
  readonly gradientNorm: number;
  readonly converged: boolean;
}

const SUFFICIENT_DECREASE = 1e-4;
const CURVATURE = 0.9;

const largest = (a: Float64Array): number => {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]!));
  return most;
};
const addScaled = (into: Float64Array, scale: number, a: Float64Array): void => {
  for (let i = 0; i < into.length; i++) into[i]! += scale * a[i]!;
};

const difference = (a: Float64Array, b: Float64Array): Float64Array => {
  const out = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = a[i]! - b[i]!;
  return out;
};

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  /** 1 / stepᵀ·change */
  readonly rho: number;
}

/** The two-loop recursion: −H·gradient, H the inverse Hessian approximated from `pairs` (oldest first). */
function direction(gradient: Float64Array, pairs: readonly Pair[], divide: Division): Float64Array {
  const d = gradient.map((g) => -g);
  const alphas = new Float64Array(pairs.length);
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { step, change, rho } = pairs[i]!;
    alphas[i] = rho * dot(step, d);
    addScaled(d, -alphas[i]!, change);
  }
  divide(d);
  const last = pairs.at(-1);
  if (last) {
    const divided = last.change.slice();
    divide(divided);
    const scale = 1 / (last.rho * dot(last.change, divided));
    for (let i = 0; i < d.length; i++) d[i]! *= scale;
  }
  for (let i = 0; i < pairs.length; i++) {
    const { step, change, rho } = pairs[i]!;
    addScaled(d, alphas[i]! - rho * dot(change, d), step);
  }
  return d;
}

interface Point {
  readonly x: Float64Array;
  readonly gradient: Float64Array;
  readonly value: number;
}

/** A point along `d` that satisfies the weak Wolfe conditions, or undefined when rounding leaves none. */
function lineSearch(f: Objective, from: Point, d: Float64Array, first: number): Point | undefined {
  const slope = dot(from.gradient, d);
  if (!(slope < 0)) return undefined;
  const slack = 4 * Number.EPSILON * Math.abs(from.value);
  let [low, high, t] = [0, Number.POSITIVE_INFINITY, first];
  for (let tries = 0; tries < 60; tries++) {
    const x = from.x.slice();
    addScaled(x, t, d);
    const gradient = new Float64Array(x.length);
    const value = f(x, gradient);
    if (!(value <= from.value + SUFFICIENT_DECREASE * t * slope + slack)) high = t;
    else if (dot(gradient, d) < CURVATURE * slope) low = t;
    else return { x, gradient, value };
    t = high === Number.POSITIVE_INFINITY ? 2 * t : (low + high) / 2;
  }
  return undefined;
}

/** Minimises `f` from `start`, which is left as it is. */
export function minimise(f: Objective, start: Float64Array, options: LbfgsOptions = {}): Minimum {
  const { tolerance = 1e-6, gain = 0, maxIterations = 2000, memory = 12, precondition = () => () => {} } = options;
  const gradient = new Float64Array(start.length);
  let point: Point = { x: start.slice(), gradient, value: f(start, gradient) };
  let pairs: Pair[] = [];
  let iterations = 0;
  let settled = false;
  while (iterations < maxIterations && largest(point.gradient) > tolerance) {
    const scaled = pairs.length > 0 || options.precondition !== undefined;
    const first = scaled ? 1 : 1 / Math.sqrt(dot(point.gradient, point.gradient));
    const d = direction(point.gradient, pairs, precondition(iterations));
    settled = scaled && -dot(point.gradient, d) / 2 < gain; // ½·gᵀ·H⁻¹·g: how far a paraboloid's lowest point is below
    if (settled) break;
    const next = lineSearch(f, point, d, first);
    if (!next && pairs.length === 0) break;
    if (!next) {
      pairs = [];
      continue;
    }
    const step = difference(next.x, point.x);
    const change = difference(next.gradient, point.gradient);
    const product = dot(step, change);
    if (product > Number.EPSILON * dot(change, change)) pairs.push({ step, change, rho: 1 / product });
    if (pairs.length > memory) pairs.shift();
    point = next;
    iterations++;
  }
  const gradientNorm = largest(point.gradient);
  return { x: point.x, value: point.value, iterations, gradientNorm, converged: settled || gradientNorm <= tolerance };
}
