/** The only way out of the process: training pools stopped between two steps, output flushed, then the exit status. */

/** A pool answers within one training step; a wedged one must not keep the process alive. */
const CLOSE_MS = 300;
const FLUSH_MS = 200;

type Close = () => Promise<unknown>;
const closers: Close[] = [];
let closing: Promise<unknown> | undefined;
let leaving: Promise<never> | undefined;

/** Registers what must be closed before the process may end. */
export function beforeLeaving(close: Close): void {
  closers.push(close);
}

/** The training pools of this process are closed before it ends; for commands that train or embed. */
export function closePoolsBeforeLeaving(): void {
  beforeLeaving(async () => (await import('../learning/pool/pool.ts')).closeAllPools());
}

/** Closes what was registered, once; a signal starts it early. */
export function closeEverything(): Promise<unknown> {
  closing ??= Promise.allSettled(closers.map((close) => close()));
  return closing;
}

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.destroyed || stream.errored) resolve();
    else stream.write('', () => resolve());
  });

const within = (ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, new Promise((resolve) => setTimeout(resolve, ms))]);

/** Ends the process with `status`; further calls join the first. */
export function leave(status: number): Promise<never> {
  leaving ??= (async (): Promise<never> => {
    await within(CLOSE_MS, closeEverything());
    await within(FLUSH_MS, Promise.all([flushed(process.stdout), flushed(process.stderr)]));
    process.exit(status);
  })();
  return leaving;
}
