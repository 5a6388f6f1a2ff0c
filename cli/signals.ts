/**
 * SIGINT, SIGTERM and SIGHUP as one abort signal: commands get a moment to end by themselves, then the process leaves anyway.
 * Under a supervisor signals come as its messages too, counted, since a terminal sends Ctrl-C to both processes.
 */
import { setMaxListeners } from 'node:events';
import { EXIT } from '../protocol/errors.ts';

export const SIGNAL_STATUS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.terminated } as const;
export type SignalName = keyof typeof SIGNAL_STATUS;

/** What a supervisor sends its child. */
export interface PassedSignal {
  readonly signal: SignalName;
  /** 1 for the first signal. */
  readonly count: number;
}

export interface Interruption {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Resolves with the exit status when the time to end has passed, or at the second signal. */
  readonly expired: Promise<number>;
  /** The exit status that the signal asks for; undefined before a signal. */
  status(): number | undefined;
}

const LOOK_MS = 100;

/**
 * npm and npx pass SIGTERM to the shell that they started us in, and it dies of that without a word: then we stop as if we had been sent
 * it ourselves, instead of going on unseen.
 */
export function stopWithNpm(): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const shell = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(look);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MS);
  look.unref();
}

/** Starts to listen; a command has `graceMs` after the first signal. */
export function watchSignals(graceMs: number, { supervised = false }: { supervised?: boolean } = {}): Interruption {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // every job and connection of a run listens
  let status: number | undefined;
  const expired = new Promise<number>((resolve) => {
    const receive = (name: SignalName, again: boolean): void => {
      if (status !== undefined) {
        if (again) resolve(status);
        return;
      }
      status = SIGNAL_STATUS[name];
      setTimeout(resolve, graceMs, status);
      process.stderr.write(process.stderr.isTTY ? '\r\x1b[2K' : '');
      process.stderr.write(`${name}: stopping …\n`);
      controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'));
    };
    for (const name of Object.keys(SIGNAL_STATUS) as SignalName[]) process.on(name, () => receive(name, !supervised));
    if (!supervised) return;
    process.on('message', ({ signal, count }: PassedSignal) => receive(signal, count > 1));
    // Without its supervisor nobody waits for the result any more.
    const orphaned = (): void => void process.kill(process.pid, 'SIGKILL');
    process.on('disconnect', orphaned);
    if (!process.connected) orphaned();
  });
  return { signal: controller.signal, expired, status: () => status };
}
