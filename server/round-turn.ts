/**
 * Whose turn it is to report: the one rule on why what a participant delivers is taken or refused, in every phase that takes reports.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { Member, Recruiting, Report, SecureStage, Securing, Training } from './round-state.ts';

/** What the first exchange under masks asks for after the keys; later ones begin with the words and go on from `agreeing`. */
export const STAGES: readonly SecureStage[] = ['sharing', 'masking', 'agreeing', 'unmasking'];

/** What one who is out is told: why it is, or that it came back too late. */
export const codeOfOut = ({ code }: Extract<Member, { standing: 'out' }>): ErrorCode =>
  code === 'net/closed' ? 'round/late' : code;

/** What the participants of this state are asked for. */
type Turn = Pick<Report, 'exchange' | 'stage'>;
const turnOf = (state: Recruiting | Training | Securing): Turn =>
  state.phase === 'securing' ? state : { exchange: state.phase === 'recruiting' ? 0 : state.exchange };

/** The place of a turn within its exchange: what ends training, then the stages. */
const placeOf = ({ stage }: Turn): number => (stage === undefined ? -1 : STAGES.indexOf(stage));

const isNeverAsked = ({ exchange, stage }: Turn): boolean =>
  exchange > 0 && (stage === 'sharing' || stage === 'masking');

/** Why a report, or an answer to a stage, cannot be taken now; undefined if it can. */
export function whyNot(state: Recruiting | Training | Securing, report: Report, now: number): ErrorCode | undefined {
  const member = state.members.get(report.participant);
  const turn = turnOf(state);
  if (!member || member.standing === 'offered' || report.exchange < turn.exchange) return 'round/stale';
  if (member.standing === 'out') return codeOfOut(member);
  const ahead = placeOf(report) - placeOf(turn);
  if (report.exchange > turn.exchange || ahead > 0 || isNeverAsked(report)) return 'wire/unexpected';
  // who is still there has given everything that was asked before
  if (ahead < 0) return 'round/duplicate';
  if (state.phase === 'securing' && state.step === 'opening') return 'wire/unexpected';
  if (member.standing !== 'working') return 'round/duplicate';
  return state.phase !== 'recruiting' && now >= state.endsAt ? 'round/late' : undefined;
}
