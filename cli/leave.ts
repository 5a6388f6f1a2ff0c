/** The only way out of the process: output flushed, training pools stopped between two steps, then the exit status. */

/** A pool answers within one training step; a wedged one must not keep the process alive. */
const POOL_MS = 800;

let leaving: Promise<never> | undefined;
const closers: (() => Promise<unknown>)[] = [];

/** Registers what must be closed before the process may end. */
export function beforeLeaving(close: () => Promise<unknown>): void {
  closers.push(close);
}

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.destroyed || stream.errored) resolve();
    else stream.write('', () => resolve());
  });

const within = (ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, ms))]);

/** Ends the process with `status`; further calls join the first. */
export function leave(status: number): Promise<never> {
  leaving ??= (async (): Promise<never> => {
    await within(POOL_MS, Promise.all(closers.map((close) => close())));
    await within(POOL_MS, Promise.all([flushed(process.stdout), flushed(process.stderr)]));
    process.exit(status);
  })();
  return leaving;
}
