/**
 * One connection: connected → greeted → identified → joined, each state with only the fields that exist in it. Requests are
 * answered one at a time, in order. Before joining, the first thing that does not fit ends the connection, with an error that says
 * why; afterwards a request that fails is answered with its code, and only what breaks the protocol itself ends the connection.
 */
import type { Decoded } from '../protocol/codec.ts';
import { asTacitError, type ErrorCode, TacitError } from '../protocol/errors.ts';
import { participantId } from '../protocol/identity.ts';
import type { ClientMessage, ClientMessageOf } from '../protocol/messages.ts';
import { type CoordinatorPeer, coordinatorPeer } from '../protocol/peer.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import { type Connection, LIMITS } from '../protocol/transport.ts';
import type { Clock } from './clock.ts';
import type { Federation } from './federation.ts';
import type { Participant, Participants } from './participants.ts';
import { type Rate, type TokenBucket, tokenBucket } from './rate-limit.ts';
import type { Reply, RoundRequest } from './requests.ts';
import { checkIdentity, type Greeted, greet, joined, type RunStanding, SUPPORTED_VERSIONS } from './sign-in.ts';
import { metered, type Traffic } from './traffic.ts';

export interface SessionContext {
  readonly federation: Federation;
  readonly clock: Clock;
  readonly participants: Participants;
  readonly traffic: Traffic;
  /** Refuses certificates, when the plan admits participants with one only. */
  readonly checkCertificate: CertificateCheck | undefined;
  /** How far the run has come, for `joined`. */
  readonly standing: () => RunStanding;
  readonly serve: (participant: Participant, request: RoundRequest, body: Uint8Array | undefined) => Promise<Reply>;
  readonly onRefused: (participant: Participant, request: string, code: ErrorCode) => void;
  readonly onDropped: (remote: string, error: TacitError) => void;
}

/** How long a connection may take to join. */
const JOIN_WITHIN_MS = 20_000;
/** Requests that may wait for their turn; a participant has at most 32 unanswered. */
const MAX_QUEUED = 64;
/** Requests that move no bytes: a round needs some ten of them. Each offer makes the burst whole again, however quick rounds are. */
const REQUEST_RATE: Rate = { burst: 120, perSecond: 20 };
/** Requests beyond the rate that are answered before the connection is ended. */
const MAX_STRIKES = 20;

type State =
  | { readonly stage: 'connected' }
  | ({ readonly stage: 'greeted' } & Greeted)
  | { readonly stage: 'identified' | 'joined'; readonly participant: Participant }
  | { readonly stage: 'ended' };

interface Session {
  state: State;
  readonly context: SessionContext;
  readonly peer: CoordinatorPeer;
  bucket: TokenBucket;
  strikes: number;
  bytesUp: number;
}

/** Takes a new connection into service. Nothing that its other side does can throw out of here. */
export function openSession(connection: Connection, context: SessionContext): void {
  const onUp = (bytes: number): void => {
    session.bytesUp += bytes;
    const signedIn = session.state.stage === 'identified' || session.state.stage === 'joined';
    if (signedIn || session.bytesUp <= LIMITS.bytesBeforeSignIn) return;
    drop(session, new TacitError('wire/too-large', 'too many bytes before sign-in'));
  };
  const peer = coordinatorPeer(metered(connection, context.traffic, onUp), {
    onMalformed: (error) => drop(session, error),
  });
  const bucket = tokenBucket(REQUEST_RATE);
  const session: Session = { state: { stage: 'connected' }, context, peer, bucket, strikes: 0, bytesUp: 0 };
  const cancelTimer = context.clock.after(JOIN_WITHIN_MS, () => {
    if (session.state.stage !== 'joined') drop(session, new TacitError('net/timeout', 'not joined in time'));
  });
  peer.onClose((reason) => {
    cancelTimer();
    const { state } = session;
    session.state = { stage: 'ended' };
    if (state.stage === 'identified' || state.stage === 'joined') context.participants.leave(state.participant, reason);
  });
  const queue: Decoded<ClientMessage>[] = [];
  let busy = false;
  const work = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    for (let next = queue.shift(); next && session.state.stage !== 'ended'; next = queue.shift()) {
      await answer(session, next);
    }
    busy = false;
  };
  peer.onMessage((decoded) => {
    if (queue.length >= MAX_QUEUED) {
      drop(session, new TacitError('wire/rate-limited', 'too many requests at once'));
      return;
    }
    queue.push(decoded);
    void work();
  });
}

/** Ends a connection for what its other side did, after telling it why. */
function drop(session: Session, error: TacitError): void {
  if (session.state.stage === 'ended') return;
  session.context.onDropped(session.peer.connection.remote, error);
  endSession(session, error);
}

function endSession(session: Session, error: TacitError, re?: number): void {
  const { state, peer, context } = session;
  if (state.stage === 'ended') return;
  session.state = { stage: 'ended' };
  if (state.stage === 'identified' || state.stage === 'joined') {
    context.participants.leave(state.participant, error.code);
  }
  const versions = error.code === 'wire/unsupported-version' ? { supportedVersions: [...SUPPORTED_VERSIONS] } : {};
  const told =
    'supportedVersions' in versions
      ? peer.send({
          type: 'error',
          ...(re === undefined ? {} : { re }),
          code: error.code,
          text: error.message,
          ...versions,
        })
      : peer.sendError(error, re);
  void told.catch(() => {}).then(() => peer.close(error.code));
}

/** Answers one request, whatever happens. */
async function answer(session: Session, { message, body }: Decoded<ClientMessage>): Promise<void> {
  const { peer, context } = session;
  try {
    checkRate(session, message);
    const reply = await respond(session, message, body);
    if (session.state.stage === 'ended') return;
    await peer.send(reply.message, reply.body);
    afterReply(session, message);
  } catch (thrown) {
    const error = asTacitError(thrown);
    const { state } = session;
    if (error.code === 'net/closed' || state.stage === 'ended') return;
    if (state.stage !== 'joined') {
      context.onDropped(peer.connection.remote, error);
      endSession(session, error, message.id);
      return;
    }
    context.onRefused(state.participant, message.type, error.code);
    if (session.strikes > MAX_STRIKES) drop(session, error);
    else await peer.sendError(error, message.id).catch(() => {});
  }
}

/** Chunks are bounded by the bytes of a round; everything else by this rate. */
function checkRate(session: Session, message: ClientMessage): void {
  if (message.type === 'ask' || message.type === 'put') return;
  const waitMs = session.bucket.take(1, session.context.clock.now());
  if (waitMs === 0) return;
  session.strikes += 1;
  throw new TacitError('wire/rate-limited', 'too many requests', { retryAfterMs: waitMs });
}

async function respond(session: Session, message: ClientMessage, body: Uint8Array | undefined): Promise<Reply> {
  const { state, context } = session;
  switch (message.type) {
    case 'hello':
      if (state.stage === 'connected') return onHello(session, message);
      break;
    case 'identify':
      if (state.stage === 'greeted') return onIdentify(session, state, message);
      break;
    case 'join':
      if (state.stage === 'identified') return onJoin(session, state.participant, message);
      break;
    case 'bye':
      return { message: { type: 'ok', re: message.id } };
    default:
      if (state.stage === 'joined') return context.serve(state.participant, message, body);
      throw new TacitError('auth/not-identified', `"${message.type}" before joining`);
  }
  throw new TacitError('wire/unexpected', `"${message.type}" when ${state.stage}`);
}

/** What follows a reply and must not overtake it. */
function afterReply(session: Session, message: ClientMessage): void {
  const { state, context, peer } = session;
  if (message.type === 'bye') peer.close('bye');
  if (message.type === 'join' && state.stage === 'joined') context.participants.join(state.participant);
}

async function onHello(session: Session, message: ClientMessageOf<'hello'>): Promise<Reply> {
  const { handshake, reply } = await greet(session.context.federation, message);
  session.state = { stage: 'greeted', handshake, capabilities: message.capabilities };
  return reply;
}

async function onIdentify(session: Session, greeted: Greeted, message: ClientMessageOf<'identify'>): Promise<Reply> {
  const { context, peer } = session;
  await checkIdentity(context, greeted, message);
  if (session.state.stage !== 'greeted') throw new TacitError('net/closed', 'the connection has ended');
  const participant: Participant = {
    id: participantId(message.identity),
    publicKey: message.identity,
    capabilities: greeted.capabilities,
    remote: peer.connection.remote,
    notify: (notice, noticeBody) => {
      if (notice.type === 'offer') session.bucket = tokenBucket(REQUEST_RATE);
      void peer.send(notice, noticeBody).catch(() => {});
    },
    end: (error) => endSession(session, error),
  };
  context.participants.admit(participant);
  session.state = { stage: 'identified', participant };
  peer.connection.signedIn?.();
  return { message: { type: 'identified', re: message.id, admitted: true } };
}

function onJoin(session: Session, participant: Participant, message: ClientMessageOf<'join'>): Reply {
  const reply = joined(session.context.federation, session.context.standing(), message);
  session.state = { stage: 'joined', participant };
  return reply;
}
