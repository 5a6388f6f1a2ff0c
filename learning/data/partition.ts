/**
 * Splits labelled examples among participants, the way federated learning papers do: IID, Dirichlet by class, or a few
 * classes each. Every result is disjoint, covers all examples and is a function of the seed alone.
 */
import { TacitError } from '../../protocol/errors.ts';
import { permutation, type Rng, stream } from '../../protocol/random.ts';

export interface PartitionOptions {
  /** Class of each example, 0…C−1. */
  readonly labels: Int32Array;
  readonly participants: number;
  readonly seed: number | string;
  /** The fewest examples that a participant may end up with (default 1). */
  readonly minExamples?: number;
}

const bad = (message: string): TacitError => new TacitError('plan/refused', message);

function check({ labels, participants, minExamples = 1 }: PartitionOptions): void {
  if (!Number.isInteger(participants) || participants < 1)
    throw bad(`cannot partition among ${participants} participants`);
  if (labels.some((label) => label < 0)) throw bad('labels must be class numbers from 0');
  if (participants * minExamples <= labels.length) return;
  throw new TacitError(
    'data/too-few-examples',
    `${labels.length} examples cannot give ${participants} participants at least ${minExamples} each`,
  );
}

const classCount = (labels: Int32Array): number => labels.reduce((most, label) => Math.max(most, label + 1), 0);

/** Indices of each class's examples, in an order drawn from `rng`. */
function shuffledClasses(labels: Int32Array, rng: Rng): number[][] {
  const classes: number[][] = Array.from({ length: classCount(labels) }, () => []);
  for (const index of permutation(rng, labels.length)) classes[labels[index]!]!.push(index);
  return classes;
}

/**
 * Moves examples from whoever holds most to whoever holds fewer than the guard, one at a time, drawn at random from the
 * giver. Unlike redrawing the whole partition until it passes, this ends for every α and changes nothing else.
 */
function guarded(parts: number[][], minExamples: number, rng: Rng): Int32Array[] {
  for (const part of parts) {
    while (part.length < minExamples) {
      const giver = parts.reduce((most, other) => (other.length > most.length ? other : most));
      const place = rng.below(giver.length);
      part.push(giver[place]!);
      giver[place] = giver.at(-1)!;
      giver.pop();
    }
  }
  return parts.map((part) => Int32Array.from(part).sort());
}

/** Deals a list out in consecutive runs whose ends are the cumulative shares, rounded. */
function dealByShares(list: readonly number[], shares: readonly number[], parts: number[][]): void {
  let total = 0;
  let from = 0;
  shares.forEach((share, k) => {
    total += share;
    const to = k === shares.length - 1 ? list.length : Math.min(list.length, Math.round(total * list.length));
    parts[k]!.push(...list.slice(from, to));
    from = Math.max(from, to);
  });
}

/** log of a Gamma(shape, 1) variate: Marsaglia & Tsang 2000; for shape < 1 by the boost U^(1/shape), in logs lest it underflow. */
function logGamma(rng: Rng, shape: number): number {
  if (shape < 1) return logGamma(rng, shape + 1) + Math.log(1 - rng.next()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const u = 1 - rng.next();
    if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}

/** Shares of `parts` parts, drawn from the symmetric Dirichlet distribution; an infinite α gives equal shares. */
function dirichlet(rng: Rng, parts: number, alpha: number): number[] {
  if (alpha === Number.POSITIVE_INFINITY) return new Array(parts).fill(1 / parts);
  const logs = Array.from({ length: parts }, () => logGamma(rng, alpha));
  const most = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - most));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * Label skew: each class is divided among the participants by shares from Dirichlet(α) (Hsu et al. 2019, arXiv:1909.06335, in
 * the per-class form of Yurochkin et al. 2019). α → ∞ approaches IID, α → 0 gives each class to one participant.
 * @throws TacitError data/too-few-examples if the guard cannot be met, plan/refused
 */
export function dirichletPartition(options: PartitionOptions & { readonly alpha: number }): Int32Array[] {
  check(options);
  const { labels, participants, alpha, seed, minExamples = 1 } = options;
  if (!(alpha > 0)) throw bad(`the Dirichlet concentration must be positive, not ${alpha}`);
  const rng = stream(seed, 'partition', 'dirichlet', participants, String(alpha));
  const parts: number[][] = Array.from({ length: participants }, () => []);
  for (const members of shuffledClasses(labels, rng)) {
    dealByShares(members, dirichlet(rng, participants, alpha), parts);
  }
  return guarded(parts, minExamples, rng);
}

/** Equal parts (± 1) of a random order. @throws TacitError data/too-few-examples, plan/refused */
export function iidPartition(options: PartitionOptions): Int32Array[] {
  check(options);
  const { labels, participants, seed } = options;
  const order = permutation(stream(seed, 'partition', 'iid', participants), labels.length);
  return Array.from({ length: participants }, (_, k) => order.filter((_, i) => i % participants === k).sort());
}

/** For each participant `classes` different ones, always among those with the fewest holders so far. */
function chooseClasses(rng: Rng, participants: number, present: readonly number[], classes: number): number[][] {
  const holders = new Map(present.map((label) => [label, 0]));
  return Array.from({ length: participants }, () => {
    const tied = Array.from(permutation(rng, present.length), (i) => present[i]!);
    const chosen = tied.sort((a, b) => holders.get(a)! - holders.get(b)!).slice(0, classes);
    for (const label of chosen) holders.set(label, holders.get(label)! + 1);
    return chosen;
  });
}

/**
 * Each participant holds examples of `classes` classes only (McMahan et al. 2017, arXiv:1602.05629); a class is divided
 * evenly among its holders. Meeting `minExamples` may bring in examples of a further class.
 * @throws TacitError data/too-few-examples, plan/refused if the classes cannot all be handed out
 */
export function classesPartition(options: PartitionOptions & { readonly classes: number }): Int32Array[] {
  check(options);
  const { labels, participants, classes, seed, minExamples = 1 } = options;
  const rng = stream(seed, 'partition', 'classes', participants, classes);
  const members = shuffledClasses(labels, rng);
  const present = members.flatMap((list, label) => (list.length > 0 ? [label] : []));
  if (!Number.isInteger(classes) || classes < 1 || classes > present.length) {
    throw bad(`a participant cannot hold ${classes} of ${present.length} classes`);
  }
  if (participants * classes < present.length) {
    throw bad(`${participants} participants with ${classes} classes each cannot cover ${present.length} classes`);
  }
  const chosen = chooseClasses(rng, participants, present, classes);
  const parts: number[][] = Array.from({ length: participants }, () => []);
  for (const label of present) {
    const shared = parts.filter((_, k) => chosen[k]!.includes(label));
    dealByShares(members[label]!, new Array(shared.length).fill(1 / shared.length), shared);
  }
  return guarded(parts, minExamples, rng);
}

/** How many examples of each class each participant holds: [participant][class]. */
export function partitionMatrix(labels: Int32Array, parts: readonly Int32Array[]): number[][] {
  const classes = classCount(labels);
  return parts.map((part) => {
    const row = new Array<number>(classes).fill(0);
    for (const index of part) row[labels[index]!]!++;
    return row;
  });
}
