/**
 * How many bytes a participant may pull and push within one attempt: a few times what the attempt takes, so that broken connections
 * can be made up for and a flood cannot. Counted by identity, so that coming back does not start afresh.
 */
import { TacitError } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';

export interface Volume {
  readonly down: number;
  readonly up: number;
}

export interface TransferBudget {
  /** A new attempt, or the end of the run: everybody starts afresh. */
  reset(volume: Volume): void;
  /** @throws TacitError wire/rate-limited */
  spend(participant: ParticipantId, direction: keyof Volume, bytes: number): void;
}

/** Transfers of everything that an attempt needs that a participant may make. */
const TIMES = 4;
/** What a transfer costs at least: one of nothing is work too. */
const LEAST_BYTES = 4096;
const SLACK_BYTES = 8 * 2 ** 20;
const RETRY_MS = 5000;
const MAX_TRACKED = 100_000;

export function transferBudget(): TransferBudget {
  let limit: Volume = { down: SLACK_BYTES, up: SLACK_BYTES };
  let spent = new Map<ParticipantId, { down: number; up: number }>();
  return {
    reset(volume) {
      limit = { down: TIMES * volume.down + SLACK_BYTES, up: TIMES * volume.up + SLACK_BYTES };
      spent = new Map();
    },
    spend(participant, direction, bytes) {
      const so = spent.get(participant) ?? { down: 0, up: 0 };
      const cost = Math.max(bytes, LEAST_BYTES);
      if (so[direction] + cost > limit[direction]) {
        throw new TacitError('wire/rate-limited', 'more bytes than this round needs', { retryAfterMs: RETRY_MS });
      }
      so[direction] += cost;
      if (spent.size < MAX_TRACKED) spent.set(participant, so);
    },
  };
}
