/**
 * Reports as integers (SPEC.md §8.3): fixed point in the ring Z/2³², with a scale that leaves room for the whole cohort, so that
 * sums are exact, do not depend on the order, and never wrap. Bonawitz et al. 2017 (eprint 2017/281), without masks in v1.
 */
import { TacitError } from './errors.ts';
import { type Exchange, type Section, wordsOf } from './sections.ts';
import {
  type DoubleValues,
  normaliseMetrics,
  removeWeight,
  restoreMetrics,
  type Values,
  valuesOf,
  WEIGHT,
  withWeight,
} from './weighting.ts';

const LARGEST = 2 ** 31 - 1;

/**
 * Ring units per 1.0: ⌊(2³¹ − 1 − n) / (n·R)⌋ for n = maxCohort, R = the section's bound. n words of at most R·S + ½ then stay
 * below 2³¹; under differential privacy n·R is more by the section's headroom for noise. @throws TacitError plan/refused if that is not a whole number from 1 to 2⁵³ − 1
 */
export function scaleOf(section: Section, maxCohort: number): number {
  const scale = Math.floor((LARGEST - maxCohort) / (maxCohort * section.bound + (section.noised?.headroom ?? 0)));
  if (Number.isSafeInteger(scale) && scale >= 1) return scale;
  throw new TacitError('plan/refused', `section ${section.name} has no scale for ${maxCohort} participants`, {
    where: section.name,
    hint: 'A smaller bound, or a smaller rounds.maxCohort.',
  });
}

/** 1.5·2⁵²: adding and taking it away rounds a double of magnitude below 2⁵¹ to the nearest integer, ties to even. */
const ROUNDER = 6755399441055744;
export const roundHalfEven = (x: number): number => x + ROUNDER - ROUNDER;

/** The largest magnitude of a word of the section. */
export const wordLimit = (section: Section, maxCohort: number): number =>
  roundHalfEven(section.bound * scaleOf(section, maxCohort));

/**
 * Words of a section's values times `factor`, which are clamped to ±R first.
 * @throws TacitError report/not-finite on NaN or an infinity, which `|0` would turn into 0
 */
export function encodeSection(
  section: Section,
  values: Float32Array | Float64Array,
  maxCohort: number,
  factor = 1,
  words: Int32Array = new Int32Array(section.length),
): Int32Array {
  const { bound } = section;
  const scale = scaleOf(section, maxCohort);
  for (let i = 0; i < values.length; i++) {
    const x = values[i]! * factor;
    if (!Number.isFinite(x)) {
      throw new TacitError('report/not-finite', `section ${section.name} holds ${x}`, { where: section.name });
    }
    // by comparisons: Math.min and Math.max take twice as long as all the rest
    const clamped = x > bound ? bound : x < -bound ? -bound : x;
    words[i] = roundHalfEven(clamped * scale) | 0;
  }
  return words;
}

/** All sections of an exchange as words, one after the other; weighted sections times the weight. */
export function quantise(
  exchange: Exchange,
  values: Values,
  weight: number,
  maxCohort: number,
): Int32Array<ArrayBuffer> {
  const words = new Int32Array(wordsOf(exchange));
  let at = 0;
  for (const section of exchange.sections) {
    const factor = section.reduce === 'weightedSum' ? weight : 1;
    encodeSection(section, valuesOf(section, values), maxCohort, factor, words.subarray(at, at + section.length));
    at += section.length;
  }
  return words;
}

/** Words back to values: word / S. @throws TacitError report/malformed on another length */
export function dequantise(exchange: Exchange, words: Int32Array, maxCohort: number): DoubleValues {
  checkLength(exchange, words);
  let at = 0;
  return Object.fromEntries(
    exchange.sections.map((section) => {
      const scale = scaleOf(section, maxCohort);
      const values = new Float64Array(words.subarray(at, at + section.length));
      for (let i = 0; i < values.length; i++) values[i] = values[i]! / scale;
      at += section.length;
      return [section.name, values];
    }),
  );
}

/** A participant's values, not weighted yet, as the words of its report. */
export const encodeReport = (exchange: Exchange, values: Values, weight: number, maxCohort: number): Int32Array =>
  quantise(exchange, normaliseMetrics(exchange, withWeight(values, weight)), weight, maxCohort);

/** A sum of reports as values: weighted means, metrics in their range, plain sums. */
export function decodeSum(exchange: Exchange, sum: Int32Array, maxCohort: number): Record<string, Float32Array> {
  const means = restoreMetrics(exchange, removeWeight(exchange, dequantise(exchange, sum, maxCohort)));
  return Object.fromEntries(Object.entries(means).map(([name, values]) => [name, new Float32Array(values)]));
}

/** acc ← acc + words in the ring. */
export function addWords(acc: Int32Array, words: Int32Array): void {
  if (acc.length !== words.length) throw new RangeError(`${words.length} words added to ${acc.length}`);
  for (let i = 0; i < acc.length; i++) acc[i] = (acc[i]! + words[i]!) | 0;
}

/** @throws TacitError report/malformed on another length */
export function checkLength(exchange: Exchange, words: Int32Array): void {
  if (words.length === wordsOf(exchange)) return;
  throw new TacitError('report/malformed', `${words.length} words instead of ${wordsOf(exchange)}`);
}

export const outOfBounds = (section: string, what: string): TacitError =>
  new TacitError('report/out-of-bounds', `section ${section}: ${what}`, { where: section });

/** The largest weight that the report's weight word can stand for. @throws TacitError report/out-of-bounds outside (0, 1] */
function largestWeight(exchange: Exchange, words: Int32Array, maxCohort: number): number {
  let at = 0;
  for (const section of exchange.sections) {
    if (section.name === WEIGHT) {
      const word = words[at]!;
      const scale = scaleOf(section, maxCohort);
      if (word < 1 || word > scale) throw outOfBounds(WEIGHT, 'outside (0, 1]');
      return Math.min(1, (word + 0.5) / scale);
    }
    at += section.length;
  }
  throw new TacitError('internal', 'an exchange without a weight section');
}

/**
 * Whether one participant's report can have come from values within the bounds: its length, its weight, every word within its
 * section (times the weight), and each clip group within its L2 norm.
 * @throws TacitError report/malformed, report/out-of-bounds
 */
export function checkReport(exchange: Exchange, words: Int32Array, maxCohort: number): void {
  checkLength(exchange, words);
  const weight = largestWeight(exchange, words, maxCohort);
  const groups = new Map<string, { squares: number; length: number; norm: number }>();
  let at = 0;
  for (const section of exchange.sections) {
    const limit = wordLimit(section, maxCohort);
    const weighted = section.reduce === 'weightedSum' ? weight : 1;
    const high = Math.min(limit, Math.ceil(limit * weighted) + 1);
    const low = section.range || section.name === WEIGHT ? 0 : -high;
    let squares = 0;
    for (let i = at; i < at + section.length; i++) {
      const word = words[i]!;
      if (word < low || word > high) throw outOfBounds(section.name, `a word of ${word}, outside ${low}…${high}`);
      squares += word * word;
    }
    at += section.length;
    if (section.clipGroup === null) continue;
    const group = groups.get(section.clipGroup) ?? { squares: 0, length: 0, norm: 0 };
    group.squares += squares;
    group.length += section.length;
    group.norm = Math.max(group.norm, limit * weighted);
    groups.set(section.clipGroup, group);
  }
  for (const [name, { squares, length, norm }] of groups) {
    // Rounding moves each of the words by at most ½.
    if (Math.sqrt(squares) > norm * (1 + 1e-6) + 0.5 * Math.sqrt(length) + 1) {
      throw outOfBounds(name, 'longer than the norm to which it is clipped');
    }
  }
}
