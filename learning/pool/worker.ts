/** Entry of a training worker in Node (worker_threads). */
import { parentPort, workerData } from 'node:worker_threads';
import { openSource } from '../data/open.ts';
import type { ToWorker, WorkerStart } from './messages.ts';
import { serveJobs } from './worker-loop.ts';

if (parentPort) {
  const port = parentPort;
  const serve = await serveJobs(
    { post: (message, move) => port.postMessage(message, [...move]) },
    workerData as WorkerStart,
    { openSource },
  );
  port.on('message', (message: ToWorker) => void serve(message));
}
