/**
 * One connection: connected → greeted → identified → joined, each state with only the fields that exist in it. Requests are
 * answered one at a time, in order. Before joining, the first thing that does not fit ends the connection, with an error that says
 * why; afterwards a request that fails is answered with its code, and only what breaks the protocol itself ends the connection.
 */
import type { Decoded } from '../protocol/codec.ts';
import { asTacitError, type ErrorCode, TacitError } from '../protocol/errors.ts';
import {
  authStatement,
  type Handshake,
  participantId,
  verifyStatement,
  welcomeStatement,
} from '../protocol/identity.ts';
import {
  type Capabilities,
  type ClientMessage,
  type ClientMessageOf,
  PROTOCOL_VERSION,
  type ServerMessage,
} from '../protocol/messages.ts';
import { type CoordinatorPeer, coordinatorPeer } from '../protocol/peer.ts';
import { suitesOf } from '../protocol/plan-privacy.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import { type Connection, LIMITS } from '../protocol/transport.ts';
import type { Clock } from './clock.ts';
import type { Federation } from './federation.ts';
import type { Participant, Participants } from './participants.ts';
import { type Rate, type TokenBucket, tokenBucket } from './rate-limit.ts';
import { metered, type Traffic } from './traffic.ts';

export interface Reply {
  readonly message: ServerMessage;
  readonly body?: Uint8Array;
}

/** Requests that belong to rounds; each is answered by a reply or a coded error. */
export type RoundRequest = Extract<
  ClientMessage,
  { type: 'accept' | 'decline' | 'ask' | 'upload' | 'put' | 'commit' | 'answer' | 'history' }
>;

export interface SessionContext {
  readonly federation: Federation;
  readonly clock: Clock;
  readonly participants: Participants;
  readonly traffic: Traffic;
  /** Refuses certificates, when the plan admits participants with one only. */
  readonly checkCertificate: CertificateCheck | undefined;
  /** How far the run has come, for `joined`. */
  readonly standing: () => { readonly round: number; readonly head: Uint8Array; readonly finished: boolean };
  readonly serve: (participant: Participant, request: RoundRequest, body: Uint8Array | undefined) => Promise<Reply>;
  readonly onRefused: (participant: Participant, request: string, code: ErrorCode) => void;
  readonly onDropped: (remote: string, error: TacitError) => void;
}

export const SUPPORTED_VERSIONS: readonly number[] = [PROTOCOL_VERSION];

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
  | { readonly stage: 'greeted'; readonly handshake: Handshake; readonly capabilities: Capabilities }
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

function respond(session: Session, message: ClientMessage, body: Uint8Array | undefined): Promise<Reply> {
  const { state, context } = session;
  switch (message.type) {
    case 'hello':
      if (state.stage === 'connected') return greet(session, message);
      break;
    case 'identify':
      if (state.stage === 'greeted') return identify(session, state, message);
      break;
    case 'join':
      if (state.stage === 'identified') return join(session, state.participant, message);
      break;
    case 'bye':
      return Promise.resolve({ message: { type: 'ok', re: message.id } });
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

async function greet(session: Session, message: ClientMessageOf<'hello'>): Promise<Reply> {
  const { crypto, identity, plan } = session.context.federation;
  const version = SUPPORTED_VERSIONS.filter((known) => message.versions.includes(known)).sort((a, b) => b - a)[0];
  if (version === undefined) {
    throw new TacitError('wire/unsupported-version', `versions ${SUPPORTED_VERSIONS.join(', ')} are spoken here`);
  }
  const handshake: Handshake = {
    versions: message.versions,
    version,
    clientNonce: message.nonce,
    serverNonce: crypto.randomBytes(32),
    serverKey: identity.publicKey,
    task: plan.task,
  };
  const signature = await identity.sign(welcomeStatement(handshake));
  session.state = { stage: 'greeted', handshake, capabilities: message.capabilities };
  const { serverKey, serverNonce: nonce, task } = handshake;
  return { message: { type: 'welcome', re: message.id, version, serverKey, nonce, task, signature } };
}

async function identify(
  session: Session,
  { handshake, capabilities }: Extract<State, { stage: 'greeted' }>,
  message: ClientMessageOf<'identify'>,
): Promise<Reply> {
  const { context, peer } = session;
  const { crypto, plan } = context.federation;
  await verifyStatement(crypto, message.identity, authStatement(handshake, message.identity), message.signature);
  await context.checkCertificate?.(message.identity, message.certificate);
  const suites = suitesOf(plan);
  if (suites.length > 0 && !suites.some((suite) => capabilities.suites.includes(suite))) {
    throw new TacitError('wire/no-common-suite', `the plan admits ${suites.join(', ')} only`);
  }
  if (session.state.stage !== 'greeted') throw new TacitError('net/closed', 'the connection has ended');
  const participant: Participant = {
    id: participantId(message.identity),
    publicKey: message.identity,
    capabilities,
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

async function join(session: Session, participant: Participant, message: ClientMessageOf<'join'>): Promise<Reply> {
  const { federation, standing } = session.context;
  const { plan, planRef, planSignature, aggregator, aggregatorSignature } = federation;
  if (message.task !== plan.task) {
    throw new TacitError('wire/unexpected', `there is no task "${message.task}" here, only "${plan.task}"`);
  }
  session.state = { stage: 'joined', participant };
  const { round, head, finished } = standing();
  return {
    message: {
      type: 'joined',
      re: message.id,
      planHash: planRef.hash,
      planBytes: planRef.bytes,
      planSignature,
      aggregatorKey: aggregator.publicKey,
      aggregatorSignature,
      round,
      head,
      finished,
    },
  };
}
