/** What the session of a participant works with on one connection. */
import type { LocalState } from '../learning/pool/local-state.ts';
import type { Workplace } from './contribution.ts';
import type { Notebook } from './notebook.ts';
import type { ParticipantState } from './participant-state.ts';
import type { LocalPolicy } from './policy.ts';
import type { TranscriptView } from './transcript.ts';

/** One connection on which the participant has joined. */
export interface Link extends Omit<Workplace, 'local' | 'beforeSending' | 'acknowledged'> {
  readonly policy: LocalPolicy;
  readonly state: ParticipantState;
  readonly transcript: TranscriptView;
  readonly keepModel: boolean;
  readonly now: () => number;
  /** Changes the notebook, and resolves when that is durable with what else `change` found. */
  readonly revise: <T>(change: (notebook: Notebook) => readonly [Notebook, T]) => Promise<T>;
  /** Makes what is kept between rounds durable. */
  readonly saveLocal: (local: LocalState) => Promise<void>;
}
