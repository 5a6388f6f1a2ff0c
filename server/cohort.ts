/**
 * Who is asked first. Each participant draws one number from the stream (seed, 'cohort', round, participant), and the smallest go
 * first: a uniform sample without replacement that depends on nobody's order of arrival, so that a restarted coordinator picks
 * the same cohort. The layout (pure `init`/`apply` over plain state, seeded by round) follows google/fedjax's samplers.
 */
import type { ParticipantId } from '../protocol/ids.ts';
import { stream } from '../protocol/random.ts';

/** Participants that were asked in earlier attempts at this round and delivered nothing: asked last, not never. */
export interface SamplerState {
  readonly round: number;
  readonly behind: readonly ParticipantId[];
}

export interface Draw {
  readonly seed: number;
  readonly round: number;
  readonly candidates: readonly ParticipantId[];
}

export interface Sampler {
  readonly name: string;
  init(): SamplerState;
  /** All candidates, first choice first. */
  apply(state: SamplerState, draw: Draw): readonly ParticipantId[];
  /** The state after an attempt that failed while `absent` had been asked in vain. */
  afterFailure(state: SamplerState, round: number, absent: readonly ParticipantId[]): SamplerState;
}

export const uniformSampler: Sampler = {
  name: 'uniform',
  init: () => ({ round: 0, behind: [] }),
  apply: (state, { seed, round, candidates }) => {
    const behind = new Set(state.round === round ? state.behind : []);
    const places = candidates.map((id) => ({
      id,
      behind: behind.has(id) ? 1 : 0,
      place: stream(seed, 'cohort', round, id).uint32(),
    }));
    places.sort((a, b) => a.behind - b.behind || a.place - b.place || (a.id < b.id ? -1 : 1));
    return places.map(({ id }) => id);
  },
  afterFailure: (state, round, absent) => ({
    round,
    behind: [...new Set([...(state.round === round ? state.behind : []), ...absent])],
  }),
};
