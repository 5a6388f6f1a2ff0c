/**
 * A participant: joins a federation, takes part in its rounds and comes back when a connection is lost, until the run has
 * finished or it is told to leave. Knows no platform: connections, cryptography, training and storage are handed in.
 */
import { asTacitError, TacitError } from '../protocol/errors.ts';
import { type ParticipantPeer, participantPeer } from '../protocol/peer.ts';
import { DEFAULT_BACKOFF, pause, waitBefore } from './backoff.ts';
import type { Finished } from './endings.ts';
import type { JoinOptions, JoinResult } from './join-options.ts';
import { participate } from './joining.ts';
import { type Life, newLife } from './life.ts';
import { notesOf } from './notebook.ts';
import { counted } from './traffic.ts';

/** How long leaving may take: the coordinator is told, but not waited for. */
const BYE_MS = 500;

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
