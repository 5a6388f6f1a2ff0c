/**
 * One accepted offer on its way to a report: accept, pull the model, train, build, seal, upload, commit. What has been done is
 * kept in the contribution itself, so that after a lost connection it goes on where it stopped; training goes on meanwhile.
 */

import type { SourceSpec } from '../learning/data/source.ts';
import type { TrainInput, TrainOutput } from '../learning/pool/jobs/train.ts';
import type { LocalState } from '../learning/pool/local-state.ts';
import type { RunOptions } from '../learning/pool/scheduler.ts';
import { asBytes, equalBytes, toHex } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { asTacitError, TacitError } from '../protocol/errors.ts';
import { exchangeStatement, type Identity, uploadStatement, verifyStatement } from '../protocol/identity.ts';
import type { BlobRef, ExchangeStart, Offer } from '../protocol/messages.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';
import { buildReport } from '../protocol/report.ts';
import { assertFinite, checkAgainst, decodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import { pushReport } from '../protocol/transfer.ts';
import type { Agreement } from './agreement.ts';
import { pause } from './backoff.ts';
import type { ParticipantEvent } from './events.ts';

/** The one job that a participant needs of a training pool. */
export interface Trainer {
  run(name: 'train', input: TrainInput, options?: RunOptions): Promise<TrainOutput>;
}

/** The coordinator opens and checks the whole report before it answers. */
const COMMIT_TIMEOUT_MS = 120_000;

/** What local training gave: the words of the report, not yet sealed. */
interface Trained {
  readonly words: Int32Array;
  readonly local: LocalState | undefined;
}

/** An accepted offer. */
export interface Contribution {
  readonly offer: Offer;
  readonly offerHash: Uint8Array;
  readonly hashHex: string;
  /** Ends the training, and the contribution with it. */
  readonly stop: AbortController;
  training: Promise<Trained> | undefined;
  sealed: Promise<Uint8Array> | undefined;
  /** Settled when the notebook says that a report for this model was sent. */
  counted: Promise<void> | undefined;
  /** Settled when the coordinator has answered the commit that is under way. */
  answered: Promise<unknown> | undefined;
}

export const contributionFor = (offer: Offer, offerHash: Uint8Array): Contribution => ({
  offer,
  offerHash,
  hashHex: toHex(offerHash),
  stop: new AbortController(),
  training: undefined,
  sealed: undefined,
  counted: undefined,
  answered: undefined,
});

/** Everything around a contribution. */
export interface Workplace {
  readonly peer: ParticipantPeer;
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  readonly serverKey: Uint8Array;
  readonly aggregatorKey: Uint8Array;
  readonly agreement: Agreement;
  readonly trainer: Trainer;
  readonly source: SourceSpec;
  /** The private seed of local training. */
  readonly seed: string | number;
  /** What was kept from an earlier round. */
  readonly local: LocalState | undefined;
  readonly emit: (event: ParticipantEvent) => void;
  /** Pulls a blob, from where an earlier connection left it. */
  readonly download: (ref: BlobRef, onProgress: (bytes: number) => void) => Promise<Uint8Array>;
  /** Notes that a report for this offer's model is about to leave; resolves when that is durable. */
  readonly beforeSending: (contribution: Contribution) => Promise<void>;
  /** The coordinator has the whole report. `local`: what is to be kept for the next round. */
  readonly acknowledged: (contribution: Contribution, local: LocalState | undefined) => void;
}

/**
 * Takes a contribution from wherever it stands to an acknowledged report.
 * @throws TacitError of the coordinator's answers, of training, and net/closed when the connection ends on the way
 */
export async function contribute(at: Workplace, contribution: Contribution): Promise<void> {
  const { peer } = at;
  const { offerHash, stop } = contribution;
  const start = await accept(at, contribution);
  if (!start) return;
  const modelRef = await modelOfExchange(at, contribution, start);
  contribution.training ??= startTraining(at, contribution, await pullModel(at, contribution, modelRef));
  const { words, local } = await untilClosed(peer, contribution.training);
  contribution.sealed ??= seal(at, contribution, words);
  const sealed = await contribution.sealed;
  contribution.counted ??= at.beforeSending(contribution);
  await contribution.counted;
  stop.signal.throwIfAborted();
  const hash = await upload(at, contribution, sealed);
  const statement = uploadStatement({ offerHash, exchange: 0, hash, bytes: sealed.length });
  const signature = await at.identity.sign(statement);
  contribution.answered = peer
    .request({ type: 'commit', offerHash, exchange: 0, hash, bytes: sealed.length, signature }, undefined, {
      timeoutMs: COMMIT_TIMEOUT_MS,
    })
    .then(() => at.acknowledged(contribution, local));
  await contribution.answered;
}

/** The start of the first exchange; nothing if the report had arrived before the connection was lost. */
async function accept(at: Workplace, contribution: Contribution): Promise<ExchangeStart | undefined> {
  const { offerHash, answered, training } = contribution;
  try {
    return (await at.peer.request({ type: 'accept', offerHash })).message.exchange;
  } catch (thrown) {
    if (!(thrown instanceof TacitError) || thrown.code !== 'round/duplicate' || !answered || !training) throw thrown;
    at.acknowledged(contribution, (await training).local);
    return undefined;
  }
}

/** The model's reference in a signed start of the first exchange. */
async function modelOfExchange(
  at: Workplace,
  { offer, offerHash }: Contribution,
  start: ExchangeStart,
): Promise<BlobRef> {
  await verifyStatement(at.crypto, at.serverKey, exchangeStatement(start), start.signature);
  if (!equalBytes(start.offerHash, offerHash) || start.index !== 0) {
    throw new TacitError('wire/unexpected', 'the exchange belongs to another offer');
  }
  const model = start.blobs.find(({ name }) => name === 'model');
  if (!model || !equalBytes(model.hash, offer.modelHash)) {
    throw new TacitError('wire/hash-mismatch', 'the exchange names another model than the offer');
  }
  return model;
}

/** The global model: the bytes of the offered hash, with the plan's names and shapes, all finite. */
async function pullModel(at: Workplace, { offer }: Contribution, model: BlobRef): Promise<NamedArrays> {
  const { round, attempt } = offer;
  const bytes = await at.download(model, (done) =>
    at.emit({ type: 'downloading', round, attempt, bytes: done, total: model.bytes }),
  );
  const { arrays } = decodeSafetensors(bytes);
  checkAgainst(arrays, at.agreement.model.aggregated);
  assertFinite(arrays);
  return arrays;
}

function startTraining(at: Workplace, contribution: Contribution, model: NamedArrays): Promise<Trained> {
  const training = train(at, contribution, model);
  // it may fail while nobody waits for it, between two connections
  training.catch(() => {});
  return training;
}

async function train(at: Workplace, { offer, stop }: Contribution, model: NamedArrays): Promise<Trained> {
  const { round, attempt } = offer;
  const { plan, exchanges } = at.agreement;
  const input: TrainInput = {
    plan,
    model,
    source: at.source,
    seed: at.seed,
    participant: at.identity.id,
    round,
    attempt,
    local: at.local,
  };
  const output = await at.trainer.run('train', input, {
    signal: stop.signal,
    onProgress: ({ done, total, loss }) =>
      at.emit({ type: 'training', round, attempt, step: done, steps: total, ...(loss === undefined ? {} : { loss }) }),
  });
  const { delta, loss, examples, steps, local } = output;
  const words = buildReport(plan, exchanges[0]!, { delta, 'metrics/loss': Float32Array.of(loss) }, examples);
  at.emit({ type: 'trained', round, attempt, loss, examples, steps });
  return { words, local };
}

/** The same promise, but rejected as soon as the connection ends. */
function untilClosed<T>(peer: ParticipantPeer, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    peer.onClose((reason) => reject(new TacitError('net/closed', reason)));
    work.then(resolve, reject);
  });
}

const seal = (at: Workplace, { offer, offerHash }: Contribution, words: Int32Array): Promise<Uint8Array> =>
  at.agreement.suite!.seal(
    at.crypto,
    at.aggregatorKey,
    {
      participant: at.identity.publicKey,
      task: offer.task,
      round: offer.round,
      attempt: offer.attempt,
      exchange: 0,
      planHash: offer.planHash,
      modelHash: offer.modelHash,
      offerHash,
    },
    asBytes(words),
  );

/** Sends what the coordinator does not have yet. @returns the hash of the sealed report */
async function upload(
  at: Workplace,
  { offer, offerHash, stop }: Contribution,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const { round, attempt } = offer;
  const hash = await at.crypto.sha256(sealed);
  const push = {
    offerHash,
    exchange: 0,
    suite: at.agreement.suite!.name,
    hash,
    bytes: sealed,
    onProgress: (done: number) => at.emit({ type: 'uploading', round, attempt, bytes: done, total: sealed.length }),
  };
  await whenThereIsRoom(() => pushReport(at.peer, push), stop.signal);
  return hash;
}

/** Uploads that may come to nothing because the coordinator has dropped what it held. */
const MOST_RESTARTS = 3;

/** Tries again for as long as the coordinator asks to wait, since it takes only so many reports at a time, or has lost its part. */
async function whenThereIsRoom(act: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let restarts = 0; ; ) {
    try {
      await act();
      return;
    } catch (thrown) {
      const { code, retryAfterMs = 1000 } = asTacitError(thrown);
      const dropped = code === 'wire/unexpected' && restarts++ < MOST_RESTARTS;
      if ((code !== 'wire/rate-limited' && !dropped) || signal.aborted) throw thrown;
      await pause(dropped ? 0 : retryAfterMs, signal);
    }
  }
}
