/**
 * One run of the command: parse, act, answer, leave. Every way out of the process, whether end, error, signal or a closed
 * pipe, goes through `leave`, which stops the training pools first: a worker that is ended inside a step would abort the process.
 */
import { CommanderError } from 'commander';
import { asTacitError, EXIT, type TacitError } from '../protocol/errors.ts';
import type { Shell } from './context.ts';
import { fromCommander, renderError } from './errors.ts';
import { closeEverything, leave } from './leave.ts';
import { buildProgram } from './program.ts';
import { watchSignals } from './signals.ts';
import { isSupervised } from './supervise.ts';

/** How long a command may take to end by itself after a signal, before it is left as it is. */
const GRACE_MS = 600;

/** Prints an error on stderr and, when results were to be JSON, as the one line of stdout. @returns the exit status */
function fail(error: TacitError, json: boolean): number {
  process.stderr.write(renderError(error, { stack: process.env.TACIT_DEBUG === '1' }));
  if (json) {
    const { code, message, where, hint } = error;
    process.stdout.write(`${JSON.stringify({ error: { code, message, where, hint } })}\n`);
  }
  return error.exitStatus;
}

/** Runs `tacit` with these arguments and ends the process with a documented status. */
export async function main(argv: readonly string[]): Promise<never> {
  const json = argv.includes('--json');
  const interrupted = watchSignals(GRACE_MS, { supervised: isSupervised() });
  interrupted.signal.addEventListener('abort', () => void closeEverything());
  const shell: Shell = {
    signal: interrupted.signal,
    stdout: process.stdout,
    stderr: process.stderr,
    exit: { status: EXIT.ok },
  };
  const program = buildProgram(shell);
  const failed = (thrown: unknown): number => {
    if (interrupted.status() !== undefined) return EXIT.interrupted;
    if ((thrown as NodeJS.ErrnoException).code === 'EPIPE') return EXIT.ok;
    if (!(thrown instanceof CommanderError)) return fail(asTacitError(thrown), json);
    // Help has been printed: because it was asked for, or because `tacit plan` alone is not enough.
    if (thrown.exitCode === 0) return EXIT.ok;
    if (thrown.code === 'commander.help') return argv.length === 0 ? EXIT.ok : EXIT.usage;
    return fail(fromCommander(thrown, program, argv), json);
  };
  process.on('uncaughtException', (thrown) => void leave(failed(thrown)));
  process.on('unhandledRejection', (thrown) => void leave(failed(thrown)));
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever read our output has seen enough (`tacit embed … | head`).
    if (error.code === 'EPIPE') void leave(EXIT.ok);
  });
  const command = program.parseAsync([...argv], { from: 'user' }).then(() => shell.exit.status, failed);
  const status = await Promise.race([command, interrupted.expired]);
  return leave(interrupted.status() ?? status);
}
