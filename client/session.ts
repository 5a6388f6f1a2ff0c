/**
 * Life on one connection after joining: messages are taken one by one, in order; beside them at most one contribution is on its way.
 */
import { asTacitError, TacitError } from '../protocol/errors.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { errorOf } from '../protocol/peer.ts';
import { type Contribution, noteStart } from './contribution.ts';
import { noteStage } from './deliver-masked.ts';
import { type Finished, finish, takeCommit, takeFailure } from './endings.ts';
import type { Link } from './link.ts';
import { runContribution, takeOffer } from './offers.ts';

const NOTHING = new Uint8Array(0);

/** Takes part until the run has finished. @throws TacitError whatever ends the connection or the participation */
export function takePart(link: Link): Promise<Finished> {
  return new Promise((resolve, reject) => {
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      settle();
    };
    const fail = (thrown: unknown): void => end(() => reject(asTacitError(thrown)));
    const work = (contribution: Contribution): void => {
      runContribution(link, contribution).catch(fail);
    };
    const { peer, state } = link;
    let askedToWaitMs = 0;
    peer.onClose((reason) => fail(new TacitError('net/closed', reason, { retryAfterMs: askedToWaitMs })));
    if (state.session.phase !== 'waiting' && !state.session.contribution.done) work(state.session.contribution);

    let tail: Promise<unknown> = Promise.resolve();
    peer.onMessage(({ message, body = NOTHING }) => {
      // the connection ends right after it, so it cannot wait for its turn
      if (message.type === 'error') {
        fail(errorOf(message));
        return;
      }
      // before it stops, a coordinator says when to look whether it is back
      if (message.type === 'wait') askedToWaitMs = message.code === 'round/cancelled' ? message.retryAfterMs : 0;
      tail = tail.then(async () => {
        if (over) return;
        const finished = await take(link, message, body, work);
        if (finished) end(() => resolve(finished));
      });
      tail.catch(fail);
    });
  });
}

async function take(
  link: Link,
  message: ServerMessage,
  body: Uint8Array,
  work: (contribution: Contribution) => void,
): Promise<Finished | undefined> {
  switch (message.type) {
    case 'offer':
      await takeOffer(link, message, work);
      return undefined;
    case 'exchange':
      if (link.state.session.phase === 'contributing') noteStart(link.state.session.contribution, message.exchange);
      return undefined;
    case 'stage':
      if (link.state.session.phase !== 'waiting') noteStage(link.state.session.contribution, { message, body });
      return undefined;
    case 'committed':
      await takeCommit(link, message);
      return undefined;
    case 'failed':
      takeFailure(link, message);
      return undefined;
    case 'wait':
      link.emit({ type: 'waiting', code: message.code, retryAfterMs: message.retryAfterMs });
      return undefined;
    case 'finished':
      return finish(link, message);
    default:
      throw new TacitError('wire/unexpected', `"${message.type}" was not asked for`);
  }
}
