/** Entry of a training worker in Node (worker_threads). */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { openSource } from '../data/open.ts';
import type { ToWorker, WorkerStart } from './messages.ts';
import { serveJobs } from './worker-loop.ts';

if (parentPort) {
  const port = parentPort;
  const start = workerData as WorkerStart;
  // Linux takes "this process" as this thread; elsewhere the whole process would be meant
  if (start.background && process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const serve = await serveJobs({ post: (message, move) => port.postMessage(message, [...move]) }, start, {
    openSource,
  });
  port.on('message', (message: ToWorker) => void serve(message));
}
