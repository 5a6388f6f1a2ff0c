/** Where a participant stands in a run: what outlives a connection. */
import type { LocalState } from '../learning/pool/local-state.ts';
import type { Contribution } from './contribution.ts';
import type { Notebook } from './notebook.ts';

/** Where a participant stands. `reported`: its last report is acknowledged, and the round is not committed yet. */
export type Session =
  | { readonly phase: 'waiting' }
  | { readonly phase: 'contributing'; readonly contribution: Contribution }
  | { readonly phase: 'reported'; readonly contribution: Contribution };

export const WAITING: Session = { phase: 'waiting' };

/** What outlives a connection. */
export interface ParticipantState {
  session: Session;
  notebook: Notebook;
  /** What was kept from the last round that was reported. */
  local: LocalState | undefined;
  /** Reports that were acknowledged. */
  reports: number;
  /** Contributions that failed here, one after another. */
  failures: number;
}

/** Whether an offer is the one that is being worked on, or was reported for, already. */
export const isKnown = (session: Session, hashHex: string): boolean =>
  session.phase !== 'waiting' && session.contribution.hashHex === hashHex;

/** Ends the contribution that is under way or reported, if there is one. */
export function dropContribution(state: ParticipantState): void {
  if (state.session.phase !== 'waiting') state.session.contribution.stop.abort();
  state.session = WAITING;
}
