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
    process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  });
  return { signal: controller.signal, expired, status: () => status };
}
