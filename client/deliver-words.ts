/** From the words of an exchange to the coordinator's acknowledgement: seal, upload what is not there yet, commit. */
import { asBytes } from '../protocol/bytes.ts';
import { asTacitError } from '../protocol/errors.ts';
import { uploadStatement } from '../protocol/identity.ts';
import type { SealingSuite } from '../protocol/sealing/suite.ts';
import { pushReport } from '../protocol/transfer.ts';
import { pause } from './backoff.ts';
import type { Contribution, Stage, Workplace } from './contribution.ts';

/** The coordinator opens and checks the whole report before it answers. */
const COMMIT_TIMEOUT_MS = 120_000;

/** What is done on the way of a report. */
export interface DeliverySteps {
  /** Before the first byte of what could be opened leaves. */
  readonly beforeLeaving: () => Promise<void>;
  /** As soon as the coordinator has said that it has the report. */
  readonly onAcknowledged: () => void;
}

/**
 * Seals and delivers the report of one exchange. Called again after a lost connection it goes on where it stopped.
 * @throws TacitError of the coordinator's answers, and net/closed
 */
export async function deliverSealed(
  at: Workplace,
  contribution: Contribution,
  stage: Stage,
  words: Int32Array,
  suite: SealingSuite,
  { beforeLeaving, onAcknowledged }: DeliverySteps,
): Promise<void> {
  await beforeLeaving();
  stage.sealed ??= seal(at, contribution, suite, stage.index, words);
  await deliver(at, contribution, stage, suite.name, await stage.sealed, onAcknowledged);
}

/** Uploads the bytes of a report, and commits them. @throws TacitError of the coordinator's answers, and net/closed */
export async function deliver(
  at: Workplace,
  contribution: Contribution,
  stage: Stage,
  suite: string,
  sealed: Uint8Array,
  onAcknowledged: () => void,
): Promise<void> {
  const { offerHash } = contribution;
  const exchange = stage.index;
  const hash = await upload(at, contribution, exchange, suite, sealed);
  const statement = uploadStatement({ offerHash, exchange, hash, bytes: sealed.length });
  const signature = await at.identity.sign(statement);
  stage.answered = at.peer
    .request({ type: 'commit', offerHash, exchange, hash, bytes: sealed.length, signature }, undefined, {
      timeoutMs: COMMIT_TIMEOUT_MS,
    })
    .then(() => {
      stage.delivered = true;
      onAcknowledged();
    });
  await stage.answered;
}

const seal = (
  at: Workplace,
  { offer, offerHash }: Contribution,
  suite: SealingSuite,
  exchange: number,
  words: Int32Array,
): Promise<Uint8Array> =>
  suite.seal(
    at.crypto,
    at.aggregatorKey,
    {
      participant: at.identity.publicKey,
      task: offer.task,
      round: offer.round,
      attempt: offer.attempt,
      exchange,
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
  exchange: number,
  suite: string,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const { round, attempt } = offer;
  const hash = await at.crypto.sha256(sealed);
  const push = {
    offerHash,
    exchange,
    suite,
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
