/**
 * Whose turn it is to report: the one rule on why what a participant delivers is taken or refused, in every phase that takes reports,
 * and what a report and the verdict on it make of the members.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import { leftMs, refuse } from './round-answers.ts';
import { withMember } from './round-members.ts';
import type {
  Member,
  Members,
  Recruiting,
  Report,
  RoundEffect,
  RoundEvent,
  SecureStage,
  Securing,
  Training,
} from './round-state.ts';

/** What the first exchange under masks asks for after the keys; later ones begin with the words and go on from `agreeing`. */
export const STAGES: readonly SecureStage[] = ['sharing', 'masking', 'agreeing', 'unmasking'];

/** What one who is out is told: why it is, or that it came back too late. */
export const codeOfOut = ({ code }: Extract<Member, { standing: 'out' }>): ErrorCode =>
  code === 'net/closed' ? 'round/late' : code;

/** A state that takes reports. */
type Open = Recruiting | Training | Securing;

/** What the participants of this state are asked for. */
type Turn = Pick<Report, 'exchange' | 'stage'>;
const turnOf = (state: Open): Turn =>
  state.phase === 'securing' ? state : { exchange: state.phase === 'recruiting' ? 0 : state.exchange };

/** The place of a turn within its exchange: what ends training, then the stages. */
const placeOf = ({ stage }: Turn): number => (stage === undefined ? -1 : STAGES.indexOf(stage));

const isNeverAsked = ({ exchange, stage }: Turn): boolean =>
  exchange > 0 && (stage === 'sharing' || stage === 'masking');

/** Why a report, or an answer to a stage, cannot be taken now; undefined if it can. */
export function whyNot(state: Open, report: Report, now: number): ErrorCode | undefined {
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

/** What an event makes of the members, who are the same ones if it changes nothing. */
interface Change {
  readonly members: Members;
  readonly effects: readonly RoundEffect[];
}

/** A report is here: to be verified, or refused. */
export function afterReport(state: Open, report: Report, now: number): Change {
  const { participant, exchange, stage } = report;
  const code = whyNot(state, report, now);
  if (code) return { members: state.members, effects: [refuse(participant, code, leftMs(state.endsAt, now))] };
  return {
    members: withMember(state.members, participant, { standing: 'verifying', awaySince: null }),
    effects: [{ type: 'verify', participant, exchange, stage }],
  };
}

/** The report was looked at: it is added, its participant is out, or the verdict comes too late. */
export function afterVerdict(state: Open, event: Extract<RoundEvent, { type: 'verified' | 'rejected' }>): Change {
  const { participant, exchange, stage } = event;
  const { members } = state;
  const member = members.get(participant);
  const turn = turnOf(state);
  if (member?.standing !== 'verifying' || exchange !== turn.exchange || stage !== turn.stage) {
    return { members, effects: event.type === 'verified' ? [refuse(participant, 'round/late')] : [] };
  }
  if (event.type === 'rejected') {
    return { members: withMember(members, participant, { standing: 'out', code: event.code }), effects: [] };
  }
  return {
    members: withMember(members, participant, { standing: 'reported', awaySince: member.awaySince }),
    effects: [{ type: 'add', participant, exchange, stage }],
  };
}
