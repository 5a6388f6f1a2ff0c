/** SIGINT, SIGTERM and SIGHUP as one abort signal: commands get a moment to end by themselves, then the process leaves anyway. */
import { EXIT } from '../protocol/errors.ts';

const STATUS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.terminated } as const;

export interface Interruption {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Resolves with the exit status when the time to end has passed, or at the second signal. */
  readonly expired: Promise<number>;
  /** The exit status that the signal asks for; undefined before a signal. */
  status(): number | undefined;
}

/** Starts to listen; a command has `graceMs` after the first signal. */
export function watchSignals(graceMs: number): Interruption {
  const controller = new AbortController();
  let status: number | undefined;
  const expired = new Promise<number>((resolve) => {
    for (const [name, code] of Object.entries(STATUS)) {
      process.on(name, () => {
        if (status !== undefined) return resolve(status);
        status = code;
        setTimeout(resolve, graceMs, code);
        process.stderr.write(process.stderr.isTTY ? '\r\x1b[2K' : '');
        process.stderr.write(`${name}: stopping …\n`);
        controller.abort(new DOMException(`stopped by ${name}`, 'AbortError'));
      });
    }
  });
  return { signal: controller.signal, expired, status: () => status };
}
