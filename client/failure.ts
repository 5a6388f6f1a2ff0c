/** What becomes of a participant whose contribution to a round has failed: a pure rule. */
import type { ErrorCode, TacitError } from '../protocol/errors.ts';

/** Failures of one's own training in a row after which it is pointless to go on. */
const MOST_FAILURES = 3;

/** Reasons of one's own to sit a round out, although the coordinator waits. */
const WORTH_SAYING: ReadonlySet<ErrorCode> = new Set([
  'secagg/bad-share',
  'round/too-few-participants',
  'round/too-many-contributions',
  'privacy/budget-spent',
]);

/** What becomes of the participant when a contribution has failed. */
export type FailureDecision =
  /** Not this round. `tell`: the coordinator should know, since it waits. */
  | { readonly kind: 'sit-out'; readonly tell: boolean }
  /** This connection is of no more use; the error decides whether to come back. */
  | { readonly kind: 'end' };

/** What to do about `error` after so many failures in a row before it. */
export function decideFailure(error: TacitError, failuresBefore: number): FailureDecision {
  const { code } = error;
  if (WORTH_SAYING.has(code)) return { kind: 'sit-out', tell: true };
  if (code.startsWith('round/')) return { kind: 'sit-out', tell: false };
  const local = code.startsWith('report/') || code.startsWith('weights/') || code === 'train/failed';
  if (local && failuresBefore + 1 < MOST_FAILURES) return { kind: 'sit-out', tell: true };
  return { kind: 'end' };
}
