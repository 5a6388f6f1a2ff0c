/** Entry of a training worker in a browser (a module Web Worker). Its first message starts it. */
import { openSourceInBrowser } from '../data/browser.ts';
import { breather } from './control.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { serveJobs } from './worker-loop.ts';

/** What a dedicated worker's global scope has, and the types of a page lack. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, move: ArrayBuffer[]): void;
}
const scope = globalThis as unknown as WorkerScope;

/** Messages (such as `cancel`, where no memory is shared) are received at least this often. */
const BREATHE_MS = 50;

let serve: ReturnType<typeof serveJobs> | undefined;

scope.onmessage = async ({ data: message }) => {
  if (message.kind !== 'start') return (await serve)?.(message);
  const { dataUrl } = message.start;
  serve = serveJobs({ post: (reply, move) => scope.postMessage(reply, [...move]) }, message.start, {
    openSource: (spec, contract) => openSourceInBrowser(spec, contract, dataUrl === undefined ? {} : { dataUrl }),
    breathe: breather(BREATHE_MS),
  });
};
