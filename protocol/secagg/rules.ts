/**
 * The rules of secure aggregation that need no cryptography (SPEC.md §13.1): how many there must be, and what follows from sets of
 * roster indices. Pure and synchronous, so that a test can play any coordinator against them.
 * Why both shares of one participant never come together, for n participants of whom n_C collude with the coordinator: an honest
 * one gives one of the two, so both would take 2t ≤ n + n_C shares, and 2t > n + n_C for n_C = ⌊n/3⌋.
 */
import { TacitError } from '../errors.ts';

/** Points of GF(2⁸) other than 0, at which a secret has its shares. */
const POINTS = 255;
export const MAX_GROUP = 256;
export const DEFAULT_GROUP = 128;
/** No sum of fewer is ever opened, whatever plan and policy say. */
export const HARD_FLOOR = 3;
/** The least minimum cohort of which one may drop out. */
const LEAST_TOLERANT = 4;
/** The most exchanges of a round: their index is a byte. */
const MAX_EXCHANGES = 256;

/** t = ⌊2n/3⌋ + 1 shares recover a secret of a group of n. */
export const thresholdOf = (size: number): number => Math.floor((2 * size) / 3) + 1;

/** n_C: how many of a group may collude with the coordinator. */
export const colludersOf = (size: number): number => Math.floor(size / 3);

/** Shares that a secret is split into: one for each of the group, but only 255 of 256, where one keeps no share of one's own. */
export const sharesOf = (size: number): number => Math.min(size, POINTS);

/** How many survivors must answer to take the masks off: t; in a group of 256 a survivor's secret needs t others. */
export const answersNeeded = (size: number): number => thresholdOf(size) + (size > POINTS ? 1 : 0);

/** How many of a group may drop out. */
export const toleratedDropouts = (size: number): number => size - answersNeeded(size);

/** The floors of a session, from the plan and from the participant's own policy. */
export interface Floors {
  readonly minCohort: number;
  readonly policyMinCohort?: number;
  readonly maxCohort: number;
  readonly maxGroup?: number;
  readonly allowNoDropout?: boolean;
}

/** The smallest group into which a roster is cut that is larger than one group may be. */
const leastCut = (maxGroup: number): number => Math.floor((maxGroup + 1) / 2);

/**
 * Fewest participants of a group of a roster of so many, at every stage. The plan's minimum is the round's: where the roster is cut, a
 * group needs no more than the smallest of them must have left when it is opened, or nobody might be lost from it.
 */
export function floorOf(floors: Floors, participants: number): number {
  const { minCohort, policyMinCohort = 0, maxGroup = DEFAULT_GROUP } = floors;
  const ofPlan = participants > maxGroup ? Math.min(minCohort, answersNeeded(leastCut(maxGroup))) : minCohort;
  return Math.max(HARD_FLOOR, ofPlan, policyMinCohort);
}

/** The part of a plan's `rounds` that sizes follow from. */
interface Rounds {
  readonly minReports: number;
  readonly maxCohort: number;
}

const isCut = ({ maxCohort }: Rounds): boolean => maxCohort > DEFAULT_GROUP;

/** Participants of the smallest group that a plan allows to begin with. */
export const leastGroup = (rounds: Rounds): number =>
  isCut(rounds) ? Math.min(rounds.minReports, leastCut(DEFAULT_GROUP)) : rounds.minReports;

/** Fewest reports in a sum that is opened under a plan. */
export const leastInSum = (rounds: Rounds): number =>
  isCut(rounds) ? Math.min(rounds.minReports, answersNeeded(leastCut(DEFAULT_GROUP))) : rounds.minReports;

const refusedPlan = (message: string): TacitError =>
  new TacitError('plan/refused', message, { where: 'rounds', hint: 'At least 4, and better 10 or more.' });

/** @throws TacitError plan/refused if no session can hold under these terms */
export function checkTerms(floors: Floors, exchanges: readonly number[]): void {
  const { minCohort, maxCohort, maxGroup = DEFAULT_GROUP, allowNoDropout = false } = floors;
  if (minCohort < HARD_FLOOR) throw refusedPlan(`secure aggregation of ${minCohort} participants hides nothing`);
  if (minCohort < LEAST_TOLERANT && !allowNoDropout) {
    throw refusedPlan(`of ${minCohort} participants none may drop out`);
  }
  if (maxGroup > MAX_GROUP) throw refusedPlan(`groups of at most ${maxGroup}`);
  if (admissible(maxCohort, floors) === 0) {
    const least = Math.max(minCohort, floorOf(floors, maxCohort));
    throw refusedPlan(`at most ${maxCohort} in groups of at most ${maxGroup}, at least ${least} participants`);
  }
  if (
    exchanges.length < 1 ||
    exchanges.length > MAX_EXCHANGES ||
    !exchanges.every((n) => Number.isSafeInteger(n) && n > 0)
  )
    throw new RangeError('a session has 1 to 256 exchanges of at least one word');
}

/** Sizes of the groups of a roster: as few groups as there can be, as equal as they can be, the larger ones first. */
export function groupSizes(participants: number, maxGroup: number): number[] {
  const count = Math.ceil(participants / maxGroup);
  return Array.from({ length: count }, (_, i) => Math.floor((participants + count - 1 - i) / count));
}

/** The most of so many participants, not fewer than the plan's minimum, whose groups are neither too large nor too small; 0 if none. */
export function admissible(participants: number, floors: Floors): number {
  const { minCohort, maxCohort, maxGroup = DEFAULT_GROUP } = floors;
  for (let n = Math.min(participants, maxCohort); n >= Math.max(1, minCohort); n--) {
    if (groupSizes(n, maxGroup).at(-1)! >= floorOf(floors, n)) return n;
  }
  return 0;
}

/** What an entry of the roster is compared by; text that is the same for the same bytes. */
export interface RosterView {
  readonly identity: string;
  /** All X25519 keys of the entry. */
  readonly keys: readonly string[];
}

const refused = (message: string): TacitError => new TacitError('secagg/refused', message);
const tooFew = (there: number, needed: number): TacitError =>
  new TacitError('round/too-few-participants', `${there} participants where ${needed} are needed`);

/**
 * What a participant asks of a whole roster: as many as terms allow, sorted (so that nobody is in it twice), itself in it, all keys
 * different. @param identities as `entries`, in an encoding that sorts as bytes do @returns one's own place
 */
export function checkRoster(entries: readonly RosterView[], self: RosterView, floors: Floors): number {
  const { minCohort, maxCohort, maxGroup = DEFAULT_GROUP } = floors;
  if (entries.length > maxCohort) throw refused(`a roster of ${entries.length}, ${maxCohort} at most`);
  if (entries.length < minCohort) throw tooFew(entries.length, minCohort);
  const smallest = groupSizes(entries.length, maxGroup).at(-1) ?? 0;
  const floor = floorOf(floors, entries.length);
  if (smallest < floor) throw tooFew(smallest, floor);
  for (let i = 1; i < entries.length; i++) {
    if (!(entries[i - 1]!.identity < entries[i]!.identity)) throw refused('the roster is not in order');
  }
  const keys = entries.flatMap((entry) => entry.keys);
  if (new Set(keys).size !== keys.length) throw refused('a key is in the roster twice');
  const place = entries.findIndex(({ identity }) => identity === self.identity);
  const own = entries[place];
  if (!own || own.keys.join() !== self.keys.join()) throw refused('the roster does not hold the own keys');
  return place;
}

/** Of how many dealers a participant may complain: more than may collude cannot be theirs alone. @throws TacitError secagg/bad-share */
export function checkComplaint(size: number, dealers: readonly number[]): void {
  if (dealers.length > colludersOf(size)) {
    throw new TacitError('secagg/bad-share', `${dealers.length} boxes of shares are not what they should be`);
  }
}

const isAscending = (set: readonly number[]): boolean => set.every((v, i) => i === 0 || set[i - 1]! < v);

/** A set of roster indices as it must be: ascending, part of `whole`, with oneself in it, of at least the floor and the threshold. */
function checkSubset(set: readonly number[], whole: readonly number[], group: GroupView, needed: number): void {
  const known = new Set(whole);
  if (!isAscending(set) || !set.every((v) => known.has(v))) throw refused('a set that is not part of the one before');
  if (!set.includes(group.self)) throw refused('the participant itself is left out');
  if (set.length < Math.max(needed, group.floor)) throw tooFew(set.length, Math.max(needed, group.floor));
}

/** A group as one of its participants sees it. */
export interface GroupView {
  readonly size: number;
  /** Own roster index. */
  readonly self: number;
  readonly floor: number;
}

/** Roster indices of a whole group. */
export const everyone = (size: number): number[] => Array.from({ length: size }, (_, i) => i);

/** Those who shared: U2. @throws TacitError secagg/refused, round/too-few-participants */
export const checkMembers = (group: GroupView, members: readonly number[]): void =>
  checkSubset(members, everyone(group.size), group, answersNeeded(group.size));

/** Those whose masked words came in: U3. @throws TacitError secagg/refused, round/too-few-participants */
export const checkSurvivors = (group: GroupView, members: readonly number[], survivors: readonly number[]): void =>
  checkSubset(survivors, members, group, answersNeeded(group.size));

/** Those who signed the same survivors: U4; only valid signatures may be counted here. @throws TacitError secagg/refused */
export function checkAgreed(group: GroupView, survivors: readonly number[], agreed: readonly number[]): void {
  const known = new Set(survivors);
  if (!isAscending(agreed) || !agreed.every((v) => known.has(v)))
    throw refused('agreements of others than the survivors');
  if (agreed.length < thresholdOf(group.size)) {
    throw refused(`${agreed.length} agree on the survivors, ${thresholdOf(group.size)} must`);
  }
}

/** Whose secret a participant gives its share of: of every member exactly one secret. */
export interface Reveal {
  /** Survivors: the share of b. */
  readonly self: readonly number[];
  /** Lost ones: the share of the mask key. */
  readonly key: readonly number[];
}

export function revealOf(members: readonly number[], survivors: readonly number[]): Reveal {
  const alive = new Set(survivors);
  return { self: [...survivors], key: members.filter((v) => !alive.has(v)) };
}
