/**
 * Commands that train run in a child process, under a parent that does nothing else. A step of a native engine cannot be
 * interrupted, and a process that ends while a thread is inside one is aborted (status 134): so the parent passes signals on,
 * gives the child its time to stop between two steps, and if a step takes longer, kills it and ends with the documented status.
 * The parent loads neither engine nor command, so nothing keeps it from answering.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { TacitError } from '../protocol/errors.ts';
import { type PassedSignal, SIGNAL_STATUS, type SignalName } from './signals.ts';

/** Commands that may run an engine. */
const TRAINING = new Set(['start', 'join', 'simulate', 'finetune', 'evaluate', 'embed', 'export', 'engine', 'doctor']);

/** Says to a child with a channel to us that we supervise it. */
const PARENT = 'TACIT_SUPERVISOR';

/** After the first signal. To end a process of gigabytes on a busy machine takes another half second, and two seconds are promised. */
const LIMIT_MS = 1000;

/** With no more cores than this, helpers of the garbage collector take from training what they give to everything else. */
const FEW_CORES = 2;
/**
 * Flags of V8 for a process that trains. Buffers of frames count towards the limit at which the whole heap is marked, and die young:
 * with V8's own limit a heap of 30 MB was marked more than once a round, and held as much memory at its largest.
 */
const engineFlags = (): string[] => [
  '--heap-growing-percent=400',
  ...(availableParallelism() <= FEW_CORES ? ['--single-threaded-gc'] : []),
];

/** Whether this process was started by a supervisor; one whose supervisor is gone already still was. */
export const isSupervised = (): boolean => process.send !== undefined && process.env[PARENT] !== undefined;

/** Whether a command line needs a supervisor. */
export const needsSupervisor = (argv: readonly string[]): boolean =>
  !isSupervised() && TRAINING.has(argv.find((word) => !word.startsWith('-')) ?? '');

/** Passes signals on to the child that there will be. @returns the status that the first signal asks for, once there was one */
function passSignals(child: () => ChildProcess): () => number | undefined {
  let status: number | undefined;
  let count = 0;
  for (const name of Object.keys(SIGNAL_STATUS) as SignalName[]) {
    process.on(name, () => {
      count += 1;
      status ??= SIGNAL_STATUS[name];
      if (child().connected) child().send({ signal: name, count } satisfies PassedSignal, () => {});
      if (count === 1) setTimeout(() => child().kill('SIGKILL'), LIMIT_MS);
    });
  }
  return () => status;
}

/** A child that ended by a signal nobody sent through us: out of memory, or a defect of a native library. */
async function explainEnd(signal: NodeJS.Signals): Promise<number> {
  const { renderError } = await import('./errors.ts');
  const error = new TacitError('train/failed', `The process that trains was ended by ${signal}.`, {
    hint:
      signal === 'SIGKILL'
        ? 'The system may have run out of memory: use a smaller training.batch, or fewer --workers.'
        : 'Try --engine eager:wasm; `tacit doctor` shows which engines run here.',
  });
  process.stderr.write(renderError(error));
  return error.exitStatus;
}

/** Runs the same command line in a child and ends as it ends. */
export async function supervise(script: string, argv: readonly string[]): Promise<never> {
  const interrupted = passSignals(() => child); // before there is one, so that no signal ends us and leaves it behind
  const child = spawn(process.execPath, [...process.execArgv, ...engineFlags(), script, ...argv], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [PARENT]: String(process.pid) },
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...end) => resolve(end));
  });
  process.exit(interrupted() ?? code ?? (await explainEnd(signal!)));
}
