/** Answers the requests of participants that have joined: what they pull, and what belongs to the attempt that is under way. */
import { TacitError } from '../protocol/errors.ts';
import { type ClientMessage, RECORDS_AT_ONCE, type ServerMessage } from '../protocol/messages.ts';
import type { Link } from '../protocol/transcript.ts';
import type { BlobShelf } from '../protocol/transfer.ts';
import type { Attempt } from './attempt.ts';
import { accept, answer, commit, decline, put, upload } from './attempt-requests.ts';
import type { Participant } from './participants.ts';
import type { TransferBudget } from './transfer-budget.ts';

export interface Reply {
  readonly message: ServerMessage;
  readonly body?: Uint8Array;
}

/** Requests that belong to rounds; each is answered by a reply or a coded error. */
export type RoundRequest = Extract<
  ClientMessage,
  { type: 'accept' | 'decline' | 'ask' | 'upload' | 'put' | 'commit' | 'answer' | 'history' }
>;

export interface RequestContext {
  readonly shelf: BlobShelf;
  readonly budget: TransferBudget;
  /** The links of the transcript so far, oldest first. */
  readonly links: readonly Link[];
  /** Undefined between attempts and after the run. */
  readonly attempt: Attempt | undefined;
}

const NO_ROUND_RETRY_MS = 1000;
const NOTHING = new Uint8Array(0);

function underWay(attempt: Attempt | undefined): Attempt {
  if (attempt) return attempt;
  throw new TacitError('round/stale', 'no round is under way', { retryAfterMs: NO_ROUND_RETRY_MS });
}

/** @throws TacitError the code that the participant is answered with */
export async function serveRequest(
  context: RequestContext,
  participant: Participant,
  request: RoundRequest,
  body: Uint8Array = NOTHING,
): Promise<Reply> {
  const { shelf, budget } = context;
  const re = request.id;
  if (request.type === 'ask') {
    const { hash, offset } = request;
    budget.spend(participant.id, 'down', 0); // also for what is not there
    const chunk = shelf.chunk(hash, offset);
    budget.spend(participant.id, 'down', chunk.body.length);
    return { message: { type: 'chunk', re, hash, offset, bytes: chunk.bytes }, body: chunk.body };
  }
  if (request.type === 'history') {
    const links = context.links.slice(request.from, request.from + RECORDS_AT_ONCE);
    return { message: { type: 'records', re, records: links.map(({ commit }) => commit) } };
  }
  const attempt = underWay(context.attempt);
  switch (request.type) {
    case 'accept':
      return { message: accept(attempt, participant, request) };
    case 'decline':
      decline(attempt, participant, request);
      return { message: { type: 'ok', re } };
    case 'upload':
      return { message: { type: 'got', re, offset: upload(attempt, participant, request) } };
    case 'put':
      budget.spend(participant.id, 'up', body.length);
      return { message: { type: 'got', re, offset: put(attempt, participant, request, body) } };
    case 'commit':
      await commit(attempt, participant, request);
      return { message: { type: 'ok', re } };
    case 'answer':
      budget.spend(participant.id, 'up', body.length);
      await answer(attempt, participant, request, body);
      return { message: { type: 'ok', re } };
  }
}
