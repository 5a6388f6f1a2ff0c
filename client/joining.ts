/**
 * From an open connection to a session: signing in, agreeing to the plan (on the first joining; later ones must be under the same),
 * looking at the transcript, and everything that the session then works with.
 */
import { toHex, utf8 } from '../protocol/bytes.ts';
import { certificateCheckOf } from '../protocol/certificate.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { asTacitError, TacitError } from '../protocol/errors.ts';
import type { CommitRecord } from '../protocol/messages.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';
import { SUITES } from '../protocol/plan-privacy.ts';
import { LIMITS } from '../protocol/transport.ts';
import { type Agreement, agree } from './agreement.ts';
import { pause } from './backoff.ts';
import { download } from './download.ts';
import type { Finished } from './endings.ts';
import { readState, writeState } from './kept-state.ts';
import type { FirstJoining, Life, Names } from './life.ts';
import type { Link } from './link.ts';
import { notesOf, readNotebook, reviseNotebook, withTranscript } from './notebook.ts';
import { takePart } from './session.ts';
import { type SignedIn, signIn } from './sign-in.ts';
import { catchUp, type TranscriptView } from './transcript.ts';

const SOFTWARE = 'tacit';

const NO_CERTIFICATE = new Uint8Array(0);

/** What a model's file may be longer than its values: its header. */
const MODEL_OVERHEAD_BYTES = 2 ** 20;

/** Joins and takes part. @throws TacitError whatever ends the connection or the participation */
export async function participate(life: Life, peer: ParticipantPeer): Promise<Finished> {
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
  const first = await agreeOnce(life, peer, signedIn);
  const transcript = transcriptOf(life, peer, signedIn, first.agreement);
  await noteStanding(life, first, transcript, joined);
  return takePart(linkOf(life, peer, signedIn, first, transcript));
}

/** Agrees to the plan on the first joining, and holds the coordinator to it on every later one. */
async function agreeOnce(life: Life, peer: ParticipantPeer, signedIn: SignedIn): Promise<FirstJoining> {
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
  first: FirstJoining,
  transcript: TranscriptView,
  joined: SignedIn['joined'],
): Promise<void> {
  const { planHashHex } = first.agreement;
  const before = notesOf(life.state.notebook, planHashHex);
  const notes = await catchUp(transcript, before, joined);
  if (notes === before) return;
  await reviserOf(life, first)((notebook) => [withTranscript(notebook, planHashHex, notes), undefined]);
}

/** Changes of the notebook, one after the other, each durable before the next. */
function reviserOf(life: Life, { agreement, names }: FirstJoining): Link['revise'] {
  const { state, store } = life;
  const place = { store, name: names.notebook, planHash: agreement.planHashHex };
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
  first: FirstJoining,
  transcript: TranscriptView,
): Link {
  const { options, policy, store, state, seed, emit } = life;
  const { agreement, names, checkCertificate } = first;
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
    checkCertificate,
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
    revise: reviserOf(life, first),
    saveLocal: (local) => writeState(store, names.local, local),
  };
}
