/**
 * One accepted offer on its way through the exchanges of its round: accept, then for each exchange pull what it starts from, build
 * the words of the report, deliver them, and wait for the next exchange. What has been done is kept in the contribution itself,
 * so that after a lost connection it goes on where it stopped; training goes on meanwhile.
 */
import type { SourceSpec } from '../learning/data/source.ts';
import type { LocalState } from '../learning/pool/local-state.ts';
import { equalBytes, toHex } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import { exchangeStatement, type Identity, verifyStatement } from '../protocol/identity.ts';
import type { BlobRef, ExchangeStart, Offer } from '../protocol/messages.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import { blobsOf } from '../protocol/sections.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { Agreement } from './agreement.ts';
import { buildWords, pullInputs, type Trainer } from './build-words.ts';
import { deliverMasked, type Masking } from './deliver-masked.ts';
import { deliverSealed } from './deliver-words.ts';
import type { ParticipantEvent } from './events.ts';
import { untilClosed } from './until-closed.ts';

/** The words of one exchange's report, not yet sealed. */
export interface Built {
  readonly words: Int32Array;
  /** What the participant measured for the exchanges that follow. */
  readonly statistics?: Float32Array;
  /** What is to be kept for the next round. */
  readonly local?: LocalState;
}

/** How far one exchange has come; a step that was begun is never begun again. */
export interface Stage {
  readonly index: number;
  /** What it starts from, decided by the first word of it: the words are computed from it, and the masks bound to it. */
  readonly start: ExchangeStart;
  built: Promise<Built> | undefined;
  /** The report as it leaves: sealed, or masked. */
  sealed: Promise<Uint8Array> | undefined;
  /** Settled when the coordinator has answered the commit that is under way. */
  answered: Promise<unknown> | undefined;
  /** The coordinator has said that it has the report. */
  delivered: boolean;
}

/** An accepted offer. */
export interface Contribution {
  readonly offer: Offer;
  readonly offerHash: Uint8Array;
  readonly hashHex: string;
  /** Ends the training, and the contribution with it. */
  readonly stop: AbortController;
  /** One for each exchange that was begun. */
  readonly stages: Stage[];
  /** Starts of exchanges as they came unasked, by index. */
  readonly starts: Map<number, ExchangeStart>;
  /** Called when one has come. */
  onStart: () => void;
  model: NamedArrays | undefined;
  /** The session under masks, from its first exchange to its last. */
  masking: Masking | undefined;
  /** Nothing of it is left to do on another connection. */
  done: boolean;
  /** Settled when the notebook says that a report for this model was sent. */
  counted: Promise<void> | undefined;
}

export const contributionFor = (offer: Offer, offerHash: Uint8Array): Contribution => ({
  offer,
  offerHash,
  hashHex: toHex(offerHash),
  stop: new AbortController(),
  stages: [],
  starts: new Map(),
  onStart: () => {},
  model: undefined,
  masking: undefined,
  done: false,
  counted: undefined,
});

/** The exchange that is worked on, or was last. */
export const currentStage = ({ stages }: Contribution): Stage | undefined => stages.at(-1);

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
  /** Fewest participants in a masked sum, by the local policy. */
  readonly minSecureCohort: number;
  /** One's own certificate; length 0 without. */
  readonly certificate: Uint8Array;
  /** Refuses the certificates of others; undefined where the plan admits everyone. */
  readonly checkCertificate: CertificateCheck | undefined;
  readonly emit: (event: ParticipantEvent) => void;
  /** Pulls a blob, from where an earlier connection left it. */
  readonly download: (ref: BlobRef, onProgress: (bytes: number) => void) => Promise<Uint8Array>;
  /** Notes that a report for this offer's model is about to leave; resolves when that is durable. */
  readonly beforeSending: (contribution: Contribution) => Promise<void>;
  /** The coordinator has the report of the last exchange. `local`: what is to be kept for the next round. */
  readonly acknowledged: (contribution: Contribution, local: LocalState | undefined) => void;
}

/**
 * Takes a contribution from wherever it stands to an acknowledged report of the last exchange.
 * @throws TacitError of the coordinator's answers, of training, and net/closed when the connection ends on the way
 */
export async function contribute(at: Workplace, contribution: Contribution): Promise<void> {
  const { exchanges } = at.agreement;
  for (let start = await accept(at, contribution); ; start = await nextStart(at, contribution)) {
    if (start) await takeExchange(at, contribution, start);
    if (contribution.stages.length === exchanges.length) break;
  }
  contribution.done = true;
}

/** From the start of one exchange to its acknowledged report. */
async function takeExchange(at: Workplace, contribution: Contribution, start: ExchangeStart): Promise<void> {
  const { stop } = contribution;
  await checkStart(at, contribution, start);
  const stage = stageOf(contribution, start);
  if (!stage.built) {
    const inputs = await pullInputs(at, contribution, start);
    stage.built = begun(buildWords(at, contribution, stage, inputs));
  }
  const { words, local } = await untilClosed(at.peer, stop.signal, stage.built);
  const last = start.index + 1 === at.agreement.exchanges.length;
  const steps = {
    beforeLeaving: async (): Promise<void> => {
      contribution.counted ??= at.beforeSending(contribution);
      await contribution.counted;
      stop.signal.throwIfAborted();
    },
    onAcknowledged: (): void => {
      if (last) at.acknowledged(contribution, local);
    },
  };
  if (at.agreement.suite) await deliverSealed(at, contribution, stage, words, at.agreement.suite, steps);
  else await deliverMasked(at, contribution, stage, words, start, steps);
}

/** It may fail while nobody waits for it, between two connections. */
function begun<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  return work;
}

/**
 * The stage of an exchange that is under way or comes next.
 * @throws TacitError train/failed if an earlier one was not taken here, wire/unexpected if it started from something else before
 */
function stageOf({ stages }: Contribution, start: ExchangeStart): Stage {
  const { index } = start;
  if (index === stages.length) {
    stages.push({ index, start, built: undefined, sealed: undefined, answered: undefined, delivered: false });
  }
  const stage = stages[index];
  if (!stage || index !== stages.length - 1) {
    throw new TacitError('train/failed', `exchange ${index} does not follow what was done here`);
  }
  if (equalBytes(exchangeStatement(stage.start), exchangeStatement(start))) return stage;
  throw new TacitError('wire/unexpected', `exchange ${index} starts from something else than before`);
}

/** The start of the exchange that is under way; nothing if its report had arrived before the connection was lost. */
async function accept(at: Workplace, contribution: Contribution): Promise<ExchangeStart | undefined> {
  const stage = currentStage(contribution);
  try {
    return (await at.peer.request({ type: 'accept', offerHash: contribution.offerHash })).message.exchange;
  } catch (thrown) {
    const reported = thrown instanceof TacitError && thrown.code === 'round/duplicate' && stage?.answered;
    if (!reported || !stage.built) throw thrown;
    const { local } = await stage.built;
    if (stage.index + 1 === at.agreement.exchanges.length) at.acknowledged(contribution, local);
    return undefined;
  }
}

/** The start of the exchange after the current one, when it comes. */
function nextStart({ peer }: Workplace, contribution: Contribution): Promise<ExchangeStart> {
  const { starts, stages, stop } = contribution;
  const index = stages.length;
  const coming = new Promise<ExchangeStart>((resolve) => {
    const look = (): void => {
      const start = starts.get(index);
      if (start) resolve(start);
    };
    contribution.onStart = look;
    look();
  });
  return untilClosed(peer, stop.signal, coming);
}

/** Takes the start of an exchange that came unasked; one of another offer is of no interest. */
export function noteStart(contribution: Contribution, start: ExchangeStart): void {
  if (!equalBytes(start.offerHash, contribution.offerHash)) return;
  contribution.starts.set(start.index, start);
  contribution.onStart();
}

/** @throws TacitError auth/bad-signature, wire/unexpected */
async function checkStart(at: Workplace, { offerHash }: Contribution, start: ExchangeStart): Promise<void> {
  await verifyStatement(at.crypto, at.serverKey, exchangeStatement(start), start.signature);
  if (!equalBytes(start.offerHash, offerHash) || start.index >= at.agreement.exchanges.length) {
    throw new TacitError('wire/unexpected', 'the exchange belongs to another offer');
  }
  const wanted = blobsOf(at.agreement.exchanges[start.index]!);
  if (start.blobs.length !== wanted.length || start.blobs.some(({ name }, i) => name !== wanted[i])) {
    const names = start.blobs.map(({ name }) => name).join(', ');
    throw new TacitError('wire/unexpected', `exchange ${start.index} starts from ${names}, not ${wanted.join(', ')}`);
  }
}
