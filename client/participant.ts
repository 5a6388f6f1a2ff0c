/**
 * A participant: joins a federation, takes part in its rounds and comes back when a connection is lost, until the run has
 * finished or it is told to leave. Knows no platform: connections, cryptography, training and storage are handed in.
 */
import { toHex, utf8 } from '../protocol/bytes.ts';
import { certificateCheckOf } from '../protocol/certificate.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { asTacitError, TacitError } from '../protocol/errors.ts';
import type { CommitRecord } from '../protocol/messages.ts';
import { type ParticipantPeer, participantPeer } from '../protocol/peer.ts';
import { SUITES } from '../protocol/plan-privacy.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import { LIMITS } from '../protocol/transport.ts';
import { type Agreement, agree } from './agreement.ts';
import { DEFAULT_BACKOFF, pause, waitBefore } from './backoff.ts';
import { type Downloads, download } from './download.ts';
import type { ParticipantEvent } from './events.ts';
import type { JoinOptions, JoinResult } from './join-options.ts';
import { readState, writeState } from './kept-state.ts';
import { EMPTY_NOTEBOOK, notesOf, readNotebook, reviseNotebook, withTranscript } from './notebook.ts';
import { DEFAULT_POLICY, type LocalPolicy, parsePolicy } from './policy.ts';
import { type Finished, type Link, type ParticipantState, takePart, WAITING } from './session.ts';
import { type SignedIn, signIn } from './sign-in.ts';
import { memoryStore, type ParticipantStore } from './store.ts';
import { counted, type Traffic } from './traffic.ts';
import { catchUp, type TranscriptView } from './transcript.ts';

const SOFTWARE = 'tacit';
const NO_CERTIFICATE = new Uint8Array(0);
/** How long leaving may take: the coordinator is told, but not waited for. */
const BYE_MS = 500;

/** What a model's file may be longer than its values: its header. */
const MODEL_OVERHEAD_BYTES = 2 ** 20;

/** Everything that belongs to one call of `joinFederation`. */
interface Life {
  readonly options: JoinOptions;
  readonly policy: LocalPolicy;
  readonly store: ParticipantStore;
  readonly seed: string | number;
  readonly signal: AbortSignal;
  readonly traffic: Traffic;
  readonly state: ParticipantState;
  readonly downloads: Downloads;
  readonly emit: (event: ParticipantEvent) => void;
  /** Settled when the notebook has been written. */
  revising: Promise<unknown>;
  /** Of the first joining; later ones must be with the same key and under the same plan. */
  first:
    | {
        readonly agreement: Agreement;
        readonly fingerprint: string;
        readonly names: Names;
        readonly checkCertificate: CertificateCheck | undefined;
      }
    | undefined;
}

/** Names in the store of what belongs to one coordinator's task. */
interface Names {
  readonly notebook: string;
  readonly local: string;
}

/**
 * Takes part until the run has finished or `signal` aborts.
 * @throws TacitError policy/refused, auth/*, wire/*, data/*, engine/*, and net/* when connecting has failed `retries` times in a row
 */
export async function joinFederation(options: JoinOptions): Promise<JoinResult> {
  const { retries = 5, backoff = DEFAULT_BACKOFF, random = Math.random } = options;
  let failures = 0;
  const life = newLife(options, () => {
    failures = 0;
  });
  const { signal, state, emit } = life;
  try {
    for (;;) {
      try {
        return resultOf(life, await connectOnce(life));
      } catch (thrown) {
        if (signal.aborted) return resultOf(life);
        const error = asTacitError(thrown);
        if (!error.retryable || error.code === 'train/cancelled' || failures >= retries) {
          const finished = finishedUnheard(life, error);
          if (finished) return resultOf(life, finished);
          throw error;
        }
        failures += 1;
        const waitMs = waitBefore(failures, random(), error.retryAfterMs, backoff);
        emit({ type: 'retrying', attempt: failures, waitMs, error });
        await pause(waitMs, signal);
        if (signal.aborted) return resultOf(life);
      }
    }
  } finally {
    if (state.session.phase !== 'waiting') state.session.contribution.stop.abort();
  }
}

function newLife(options: JoinOptions, onProgress: () => void): Life {
  const traffic: Traffic = { up: 0, down: 0 };
  let told: string | undefined;
  const emit = (event: ParticipantEvent): void => options.onEvent?.(event, traffic);
  /** Says what trains here before anything else, and again when that has changed. */
  const tellEngine = (): void => {
    const { engine, reason } = options.trainer;
    if (reason === undefined || told === `${engine}: ${reason}`) return;
    told = `${engine}: ${reason}`;
    emit({ type: 'engine', engine, reason });
  };
  return {
    options,
    policy: options.policy ? parsePolicy(options.policy) : DEFAULT_POLICY,
    store: options.store ?? memoryStore(),
    seed: options.seed ?? toHex(options.crypto.randomBytes(16)),
    signal: options.signal ?? new AbortController().signal,
    traffic,
    state: { session: WAITING, notebook: EMPTY_NOTEBOOK, local: undefined, reports: 0, failures: 0 },
    downloads: { underWay: undefined },
    revising: Promise.resolve(),
    emit: (event) => {
      if (event.type === 'reported' || event.type === 'committed') onProgress();
      tellEngine();
      emit(event);
    },
    first: undefined,
  };
}

function resultOf({ state, traffic, first }: Life, finished?: Finished): JoinResult {
  const seen = first ? notesOf(state.notebook, first.agreement.planHashHex).round : 0;
  const counts = { reports: state.reports, bytesUp: traffic.up, bytesDown: traffic.down };
  if (!finished) return { ended: 'left', rounds: seen, ...counts };
  const { rounds, modelHash, model } = finished;
  return { ended: 'finished', rounds, modelHash, ...(model ? { finalModel: model } : {}), ...counts };
}

/** A coordinator that is gone after the last round has finished, even if the word of it was lost: the signed record says so. */
function finishedUnheard({ first, state }: Life, error: TacitError): Finished | undefined {
  if (!first || !error.code.startsWith('net/')) return undefined;
  const { plan, planHashHex } = first.agreement;
  const { round, modelHash } = notesOf(state.notebook, planHashHex);
  return round >= plan.rounds.count && modelHash !== undefined
    ? { rounds: round, modelHash, model: undefined }
    : undefined;
}

/** One connection from opening to its end. @throws whatever ends it before the run has finished */
async function connectOnce(life: Life): Promise<Finished> {
  const { options, signal, traffic, emit } = life;
  signal.throwIfAborted();
  emit({ type: 'connecting' });
  const connection = counted(await options.connect(signal), traffic);
  const peer = participantPeer(connection);
  const left = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new TacitError('net/closed', 'left')), { once: true });
  });
  left.catch(() => {});
  try {
    signal.throwIfAborted();
    const finished = await Promise.race([left, participate(life, peer)]);
    await sayGoodbye(peer);
    return finished;
  } catch (thrown) {
    if (signal.aborted) await sayGoodbye(peer);
    throw thrown;
  } finally {
    connection.close();
  }
}

const sayGoodbye = async (peer: ParticipantPeer): Promise<void> => {
  await peer.request({ type: 'bye' }, undefined, { timeoutMs: BYE_MS }).catch(() => {});
};

async function participate(life: Life, peer: ParticipantPeer): Promise<Finished> {
  const { options, emit } = life;
  const signedIn = await signIn(peer, {
    crypto: options.crypto,
    identity: options.identity,
    task: options.task,
    fingerprint: options.fingerprint ?? life.first?.fingerprint,
    certificate: options.certificate,
    software: SOFTWARE,
    capabilities: {
      suites: [...SUITES],
      engine: options.trainer.engine,
      platform: options.platform ?? 'other',
    },
  });
  const { fingerprint, joined } = signedIn;
  const pinned = options.fingerprint !== undefined;
  emit({ type: 'joined', participant: options.identity.id, fingerprint, pinned, round: joined.round });
  const { agreement, names } = await agreeOnce(life, peer, signedIn);
  const transcript = transcriptOf(life, peer, signedIn, agreement);
  await noteStanding(life, transcript, agreement, names, joined);
  return takePart(linkOf(life, peer, signedIn, agreement, names, transcript));
}

/** Agrees to the plan on the first joining, and holds the coordinator to it on every later one. */
async function agreeOnce(life: Life, peer: ParticipantPeer, signedIn: SignedIn): Promise<NonNullable<Life['first']>> {
  const { options, policy, emit, store, state } = life;
  const { crypto } = options;
  const planHash = toHex(signedIn.joined.planHash);
  if (life.first) {
    if (life.first.agreement.planHashHex === planHash) return life.first;
    throw new TacitError('policy/refused', 'the coordinator has changed its plan since this participant agreed to it', {
      hint: 'Join again to see the new plan.',
    });
  }
  const agreement = await agree(peer, signedIn, {
    policy,
    onRefused: (refusals) => emit({ type: 'refused', refusals }),
    pullPlan: (from, { planHash: hash, planBytes }) =>
      download(life.downloads, from, { name: 'plan', hash, bytes: planBytes }, { crypto, maxBytes: LIMITS.planBytes }),
  });
  const { plan, model } = agreement;
  await options.checkData?.(plan);
  const names = await namesFor(crypto, signedIn);
  state.notebook = await readNotebook(store, names.notebook);
  state.local = await readState(store, names.local);
  const now = options.now ?? Date.now;
  const checkCertificate = certificateCheckOf(crypto, plan, () => now() / 1000);
  life.first = { agreement, fingerprint: signedIn.fingerprint, names, checkCertificate };
  emit({ type: 'plan', plan, planHash, parameters: model.reportShape.dimension });
  return life.first;
}

async function namesFor(crypto: CryptoProvider, { fingerprint, task }: SignedIn): Promise<Names> {
  const key = toHex(await crypto.sha256(utf8(JSON.stringify([fingerprint, task])))).slice(0, 32);
  return { notebook: `notebook.${key}`, local: `local.${key}` };
}

/** Asks the coordinator for links of its transcript, as fast as it answers. */
function transcriptOf(
  { options, signal }: Life,
  peer: ParticipantPeer,
  { serverKey }: SignedIn,
  { plan }: Agreement,
): TranscriptView {
  const fetch = async (from: number): Promise<readonly CommitRecord[]> => {
    for (;;) {
      try {
        return (await peer.request({ type: 'history', from })).message.records;
      } catch (thrown) {
        const { code, retryAfterMs = 1000 } = asTacitError(thrown);
        if (code !== 'wire/rate-limited' || signal.aborted) throw thrown;
        await pause(retryAfterMs, signal);
      }
    }
  };
  return { crypto: options.crypto, serverKey, rounds: plan.rounds.count, fetch };
}

/** Holds the coordinator to the rounds that were seen before, and to those that were missed. */
async function noteStanding(
  life: Life,
  transcript: TranscriptView,
  agreement: Agreement,
  names: Names,
  joined: SignedIn['joined'],
): Promise<void> {
  const { state } = life;
  const before = notesOf(state.notebook, agreement.planHashHex);
  const notes = await catchUp(transcript, before, joined);
  if (notes === before) return;
  await reviserOf(
    life,
    agreement,
    names,
  )((notebook) => [withTranscript(notebook, agreement.planHashHex, notes), undefined]);
}

/** Changes of the notebook, one after the other, each durable before the next. */
function reviserOf(life: Life, { planHashHex: planHash }: Agreement, names: Names): Link['revise'] {
  const { state, store } = life;
  const place = { store, name: names.notebook, planHash };
  return (change) => {
    const revising = life.revising.then(async () => {
      const [notebook, found] = await reviseNotebook(place, state.notebook, change);
      state.notebook = notebook;
      return found;
    });
    life.revising = revising.catch(() => {});
    return revising;
  };
}

function linkOf(
  life: Life,
  peer: ParticipantPeer,
  signedIn: SignedIn,
  agreement: Agreement,
  names: Names,
  transcript: TranscriptView,
): Link {
  const { options, policy, store, state, seed, emit } = life;
  return {
    peer,
    crypto: options.crypto,
    identity: options.identity,
    serverKey: signedIn.serverKey,
    aggregatorKey: signedIn.joined.aggregatorKey,
    agreement,
    trainer: options.trainer,
    source: options.source,
    seed,
    minSecureCohort: policy.minSecureCohort,
    certificate: options.certificate ?? NO_CERTIFICATE,
    checkCertificate: life.first?.checkCertificate,
    policy,
    state,
    transcript,
    keepModel: options.keepModel ?? true,
    now: options.now ?? Date.now,
    emit,
    download: (ref, onProgress) => {
      const maxBytes = 4 * agreement.model.reportShape.dimension + MODEL_OVERHEAD_BYTES;
      return download(life.downloads, peer, ref, { crypto: options.crypto, maxBytes, onProgress });
    },
    revise: reviserOf(life, agreement, names),
    saveLocal: (local) => writeState(store, names.local, local),
  };
}
