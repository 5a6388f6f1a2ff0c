/**
 * Whether a sum of masked reports can be the sum of reports within their bounds (SPEC.md §8.3). Nobody could look at a single one, but
 * one of random words, or of far too large ones, shows in the sum. Weighted sections are held against the weight that is in the sum:
 * so the mean is no longer than one report may be, whoever took weight away from the others.
 */
import { TacitError } from './errors.ts';
import { checkLength, outOfBounds, scaleOf, wordLimit } from './fixed-point.ts';
import type { Plan } from './plan.ts';
import type { Exchange, Section } from './sections.ts';
import { WEIGHT, weightOf } from './weighting.ts';

/** What the words of one section's sum may be. */
interface Bounds {
  readonly low: number;
  readonly high: number;
  /** L2 norm of the sum of vectors of this section, before rounding and noise. */
  readonly norm: number;
  /** What the noise of all reports together may add to a word. */
  readonly room: number;
}

/** How many reports of weight 1 the sum stands for at most; the number of reports where no weights are sent. */
function totalWeight(plan: Plan, exchange: Exchange, sum: Int32Array, reports: number): number {
  let at = 0;
  for (const section of exchange.sections) {
    if (section.name === WEIGHT) {
      const word = sum[at]!;
      const scale = scaleOf(section, plan.rounds.maxCohort);
      const low = Math.floor(reports * (weightOf(plan, 1) * scale - 0.5));
      const high = reports * scale;
      if (word < low || word > high) throw outOfBounds(WEIGHT, `a sum of ${word}, outside ${low}…${high}`);
      return Math.min(reports, (word + 0.5 * reports) / scale);
    }
    at += section.length;
  }
  return reports;
}

function boundsOf(section: Section, { rounds }: Plan, reports: number, weight: number): Bounds {
  const limit = wordLimit(section, rounds.maxCohort);
  const norm = limit * (section.reduce === 'weightedSum' ? weight : reports);
  const room = section.noised ? section.noised.headroom * scaleOf(section, rounds.maxCohort) : 0;
  // rounding moves each word of each report by at most ½
  const high = Math.min(reports * limit, Math.ceil(norm) + reports) + room;
  const unsigned = !section.noised && (section.range !== undefined || section.name === WEIGHT);
  return { low: unsigned ? 0 : -high, high, norm, room };
}

/** Squares of the words of a section, each within its bounds. @throws TacitError report/out-of-bounds */
function squaresWithin({ name }: Section, words: Int32Array, { low, high }: Bounds): number {
  let squares = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word < low || word > high) throw outOfBounds(name, `a sum of ${word}, outside ${low}…${high}`);
    squares += word * word;
  }
  return squares;
}

/** @param reports how many are in the sum @throws TacitError report/malformed, report/out-of-bounds */
export function checkSum(plan: Plan, exchange: Exchange, sum: Int32Array, reports: number): void {
  checkLength(exchange, sum);
  const { maxCohort } = plan.rounds;
  if (reports > maxCohort) throw new TacitError('internal', `more than ${maxCohort} reports in one sum`);
  const weight = totalWeight(plan, exchange, sum, reports);
  const groups = new Map<string, { squares: number; length: number; norm: number; room: number }>();
  let at = 0;
  for (const section of exchange.sections) {
    const bounds = boundsOf(section, plan, reports, weight);
    const squares = squaresWithin(section, sum.subarray(at, at + section.length), bounds);
    at += section.length;
    if (section.clipGroup === null) continue;
    const group = groups.get(section.clipGroup) ?? { squares: 0, length: 0, norm: 0, room: 0 };
    group.squares += squares;
    group.length += section.length;
    group.norm = Math.max(group.norm, bounds.norm);
    group.room += bounds.room;
    groups.set(section.clipGroup, group);
  }
  for (const [name, { squares, length, norm, room }] of groups) {
    const rounding = reports * (0.5 * Math.sqrt(length) + 1);
    if (Math.sqrt(squares) > norm * (1 + 1e-6) + rounding + room * Math.sqrt(length)) {
      throw outOfBounds(name, `a sum longer than ${reports} reports can be`);
    }
  }
}
