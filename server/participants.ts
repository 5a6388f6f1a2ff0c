/** Who is connected: one live session for each identity, the newest; and what each may still transfer in the present attempt. */
import { TacitError } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { Capabilities, ServerMessage } from '../protocol/messages.ts';

/** A signed-in participant, as long as its connection lives. */
export interface Participant {
  readonly id: ParticipantId;
  /** Raw Ed25519 public key. */
  readonly publicKey: Uint8Array;
  readonly capabilities: Capabilities;
  readonly remote: string;
  /** Sends, and forgets: a connection that fails is noticed where it ends. */
  notify(message: ServerMessage, body?: Uint8Array): void;
  /** Ends the session with an error that says why. */
  end(error: TacitError): void;
}

export interface ParticipantsEvents {
  readonly onJoin: (participant: Participant) => void;
  readonly onLeave: (participant: Participant, reason: string) => void;
}

export interface Participants {
  /** A session has identified itself: an older one of the same identity ends with `auth/replaced`. @throws TacitError wire/rate-limited when the coordinator is full */
  admit(participant: Participant): void;
  /** The session may be offered rounds from now on. */
  join(participant: Participant): void;
  /** The session's connection has ended. */
  leave(participant: Participant, reason: string): void;
  get(id: ParticipantId): Participant | undefined;
  /** Whether this is the session that speaks for its identity. */
  isCurrent(participant: Participant): boolean;
  joined(): readonly Participant[];
  readonly count: number;
}

/** How long a participant is told to stay away from a coordinator that is full. */
const FULL_RETRY_MS = 60_000;

export function createParticipants(maxParticipants: number, events: ParticipantsEvents): Participants {
  /** The session of each identity; those that have not joined yet are not in `active`. */
  const sessions = new Map<ParticipantId, Participant>();
  const active = new Map<ParticipantId, Participant>();

  const deactivate = (participant: Participant, reason: string): void => {
    if (active.get(participant.id) !== participant) return;
    active.delete(participant.id);
    events.onLeave(participant, reason);
  };
  return {
    admit(participant) {
      const older = sessions.get(participant.id);
      if (!older && sessions.size >= maxParticipants) {
        throw new TacitError('wire/rate-limited', 'the coordinator has all the participants that it can hold', {
          retryAfterMs: FULL_RETRY_MS,
        });
      }
      sessions.set(participant.id, participant);
      if (!older) return;
      deactivate(older, 'replaced');
      older.end(new TacitError('auth/replaced', 'the same identity signed in elsewhere'));
    },
    join(participant) {
      if (sessions.get(participant.id) !== participant || active.get(participant.id) === participant) return;
      active.set(participant.id, participant);
      events.onJoin(participant);
    },
    leave(participant, reason) {
      if (sessions.get(participant.id) !== participant) return;
      sessions.delete(participant.id);
      deactivate(participant, reason);
    },
    get: (id) => active.get(id),
    isCurrent: (participant) => sessions.get(participant.id) === participant,
    joined: () => [...active.values()],
    get count() {
      return active.size;
    },
  };
}
