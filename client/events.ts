/** What happens to a participant, as events for a command line, a page or a log. */
import type { TacitError } from '../protocol/errors.ts';
import type { Fingerprint, ParticipantId } from '../protocol/ids.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Refusal } from './policy.ts';

/** One attempt at one round. */
interface InRound {
  readonly round: number;
  readonly attempt: number;
}

export type ParticipantEvent =
  /** What will train here, and why it is this one. First of all, where the trainer says it, and again when another engine took over. */
  | { readonly type: 'engine'; readonly engine: string; readonly reason: string }
  | { readonly type: 'connecting' }
  /** The coordinator has proved that it holds its key. `pinned`: that key was expected. */
  | {
      readonly type: 'joined';
      readonly participant: ParticipantId;
      readonly fingerprint: Fingerprint;
      readonly pinned: boolean;
      readonly round: number;
    }
  /** The plan was received, its signature and hash hold, and the local policy admits it. `parameters`: sent per round. */
  | { readonly type: 'plan'; readonly plan: Plan; readonly planHash: string; readonly parameters: number }
  /** The local policy does not admit the plan; the participant leaves. */
  | { readonly type: 'refused'; readonly refusals: readonly Refusal[] }
  | { readonly type: 'waiting'; readonly code: string; readonly retryAfterMs: number }
  | ({ readonly type: 'offer' } & InRound)
  | ({ readonly type: 'declined'; readonly code: string; readonly reason: string } & InRound)
  | ({ readonly type: 'downloading'; readonly bytes: number; readonly total: number } & InRound)
  | ({ readonly type: 'training'; readonly step: number; readonly steps: number; readonly loss?: number } & InRound)
  | ({ readonly type: 'trained'; readonly loss: number; readonly examples: number; readonly steps: number } & InRound)
  | ({ readonly type: 'uploading'; readonly bytes: number; readonly total: number } & InRound)
  /** A noised report is about to leave and is in the notebook: the ε that all of them add up to at `delta`, of at most `budget`. */
  | ({ readonly type: 'charged'; readonly epsilon: number; readonly budget: number; readonly delta: number } & InRound)
  /** The coordinator has acknowledged the whole report. */
  | ({ readonly type: 'reported' } & InRound)
  /** The round is in the signed transcript. `mine`: this participant's report was sent in it. */
  | ({
      readonly type: 'committed';
      readonly participants: number;
      readonly modelHash: string;
      readonly mine: boolean;
    } & InRound)
  /** The attempt came to nothing, or came to nothing for this participant. */
  | ({ readonly type: 'failed'; readonly code: string; readonly reason: string } & InRound)
  | { readonly type: 'finished'; readonly rounds: number; readonly modelHash: string }
  | { readonly type: 'retrying'; readonly attempt: number; readonly waitMs: number; readonly error: TacitError };
