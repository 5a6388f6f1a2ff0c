/**
 * What a participant remembers about one coordinator and task: the transcript's head, the last offer it took, how often it has
 * contributed to each model, and when. Written before anything is sent, so that a crash can only make it more careful.
 * All changes are pure functions from one notebook to the next.
 */
import { toHex, utf8 } from '../protocol/bytes.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Offer } from '../protocol/messages.ts';
import { epsilonOfMu } from '../protocol/privacy/gaussian.ts';
import type { ParticipantStore } from './store.ts';

/** The offer that was accepted last. */
export interface TakenOffer {
  /** Hex of its hash. */
  readonly hash: string;
  readonly round: number;
  readonly attempt: number;
}

export interface Notebook {
  readonly version: 1;
  /** Per plan (by the hex of its hash): where its transcript stood, and the last offer taken. */
  readonly runs: Readonly<Record<string, RunNotes>>;
  /** Reports sent for each model, by the hex of its hash; over all plans of this coordinator's task. */
  readonly contributions: Readonly<Record<string, number>>;
  /** Noised reports that have left, under whatever plan. */
  readonly privacy?: PrivacyNotes;
  /** Times of accepted offers within the last hour, in ms since the epoch. */
  readonly acceptedAtMs: readonly number[];
}

/** What has been released of this participant's data under differential privacy; reports without noise promise nothing to count. */
export interface PrivacyNotes {
  readonly releases: number;
  /** Σ 1/z² over the releases, z the noise multiplier of each: what ε follows from (protocol/privacy/gaussian.ts). */
  readonly squares: number;
}

/** Progress of one run. */
export interface RunNotes {
  /** Hex of the transcript's head. */
  readonly head: string;
  /** Committed rounds in that transcript, as far as known. */
  readonly round: number;
  /** Hex of the hash of the model that the last round gave, if its record was seen: the next round must start from it. */
  readonly modelHash?: string;
  readonly lastOffer?: TakenOffer;
}

const HOUR_MS = 3_600_000;
/** Models whose contributions are remembered; the oldest are forgotten beyond it. */
const REMEMBERED_MODELS = 10_000;

export const EMPTY_NOTEBOOK: Notebook = { version: 1, runs: {}, contributions: {}, acceptedAtMs: [] };

/** Hex of the head before the first round. */
export const FIRST_HEAD = '0'.repeat(64);

export const notesOf = (notebook: Notebook, planHash: string): RunNotes =>
  notebook.runs[planHash] ?? { head: FIRST_HEAD, round: 0 };

/** After an offer has been accepted. Taking the same offer again (after a reconnection) changes nothing. */
export function afterAccepting(notebook: Notebook, offer: Offer, offerHash: string, nowMs: number): Notebook {
  const planHash = toHex(offer.planHash);
  const notes = notesOf(notebook, planHash);
  if (notes.lastOffer?.hash === offerHash) return notebook;
  const taken = { hash: offerHash, round: offer.round, attempt: offer.attempt };
  return {
    ...withNotes(notebook, planHash, { ...notes, lastOffer: taken }),
    acceptedAtMs: [...notebook.acceptedAtMs.filter((t) => t > nowMs - HOUR_MS), nowMs],
  };
}

export const NOTHING_RELEASED: PrivacyNotes = { releases: 0, squares: 0 };

const afterRelease = ({ releases, squares }: PrivacyNotes, noiseMultiplier: number): PrivacyNotes => ({
  releases: releases + 1,
  squares: squares + noiseMultiplier ** -2,
});

/** The ε spent so far, and after one more release with this noise. */
export function epsilonAfter(
  { privacy = NOTHING_RELEASED }: Notebook,
  delta: number,
  noiseMultiplier?: number,
): number {
  const { squares } = noiseMultiplier === undefined ? privacy : afterRelease(privacy, noiseMultiplier);
  return epsilonOfMu(Math.sqrt(squares), delta);
}

/** Before a report for `modelHash` leaves this machine for the first time; with the noise multiplier under differential privacy. */
export function afterContributing(notebook: Notebook, modelHash: string, noiseMultiplier?: number): Notebook {
  const { [modelHash]: given = 0, ...others } = notebook.contributions;
  const kept = Object.entries(others).slice(-(REMEMBERED_MODELS - 1));
  return {
    ...notebook,
    contributions: { ...Object.fromEntries(kept), [modelHash]: given + 1 },
    ...(noiseMultiplier === undefined
      ? {}
      : { privacy: afterRelease(notebook.privacy ?? NOTHING_RELEASED, noiseMultiplier) }),
  };
}

/** With new notes on one run: its transcript has been looked at. */
export const withNotes = (notebook: Notebook, planHash: string, notes: RunNotes): Notebook => ({
  ...notebook,
  runs: { ...notebook.runs, [planHash]: notes },
});

/** With the transcript as it was followed to; the last offer stays. */
export function withTranscript(notebook: Notebook, planHash: string, { head, round, modelHash }: RunNotes): Notebook {
  const { lastOffer } = notesOf(notebook, planHash);
  const notes = { head, round, ...(modelHash === undefined ? {} : { modelHash }) };
  return withNotes(notebook, planHash, lastOffer ? { ...notes, lastOffer } : notes);
}

/** The transcript as far as either has followed it, with the later of both offers. */
function further(one: RunNotes, other: RunNotes): RunNotes {
  const ahead = other.round > one.round ? other : one;
  const lastOffer = laterOf(one.lastOffer, other.lastOffer);
  return lastOffer ? { ...ahead, lastOffer } : ahead;
}

function laterOf(one: TakenOffer | undefined, other: TakenOffer | undefined): TakenOffer | undefined {
  if (!one || !other) return one ?? other;
  const isLater = other.round > one.round || (other.round === one.round && other.attempt > one.attempt);
  return isLater ? other : one;
}

/**
 * What is stored, from where this connection stands in the transcript of its run: another process or tab of the same participant may
 * be ahead of it, but has counted in the same notebook.
 */
function asSeenFrom(own: Notebook, stored: Notebook, planHash: string): Notebook {
  const notes = notesOf(own, planHash);
  const lastOffer = laterOf(notes.lastOffer, stored.runs[planHash]?.lastOffer);
  return withNotes(stored, planHash, lastOffer ? { ...notes, lastOffer } : notes);
}

function parseNotebook(bytes: Uint8Array, name: string): Notebook {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as Notebook;
    if (value.version === 1 && value.runs && value.contributions && Array.isArray(value.acceptedAtMs)) return value;
  } catch {
    // answered below, like any other content that is not a notebook
  }
  throw new TacitError('run/store', "the participant's notebook is damaged", {
    where: name,
    hint: 'Remove it to start afresh: how often you contributed to which model is then forgotten.',
  });
}

/** Reads the notebook under `name`. @throws TacitError run/store when what is there is not one */
export async function readNotebook(store: ParticipantStore, name: string): Promise<Notebook> {
  const bytes = await store.read(name);
  return bytes ? parseNotebook(bytes, name) : EMPTY_NOTEBOOK;
}

/** Where a notebook is kept, and whose transcript it follows. */
export interface NotebookPlace {
  readonly store: ParticipantStore;
  readonly name: string;
  /** Hex. */
  readonly planHash: string;
}

/**
 * Changes the notebook as it is stored now, alone with it: no process or tab of the same participant counts past another.
 * @param own as it was last seen here @returns as it is now, durably, and what else `change` found
 * @throws TacitError run/store, and whatever `change` throws; nothing has changed then
 */
export async function reviseNotebook<T>(
  { store, name, planHash }: NotebookPlace,
  own: Notebook,
  change: (notebook: Notebook) => readonly [Notebook, T],
): Promise<readonly [Notebook, T]> {
  let result: readonly [Notebook, T] | undefined;
  await store.update(name, (bytes) => {
    const stored = bytes ? parseNotebook(bytes, name) : own;
    const before = asSeenFrom(own, stored, planHash);
    result = change(before);
    const [revised] = result;
    if (revised === before) return undefined;
    const notes = further(notesOf(revised, planHash), notesOf(stored, planHash));
    return utf8(JSON.stringify(withNotes(revised, planHash, notes)));
  });
  if (!result) throw new TacitError('internal', 'a store that updates nothing', { where: name });
  return result;
}
