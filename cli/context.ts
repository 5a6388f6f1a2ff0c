/**
 * What a command gets to work with: a signal that says stop, and where its words go. Results go to stdout, as text or, with
 * --json, as exactly one JSON line; progress goes to stderr, or nowhere with --quiet.
 */
import type { Command } from 'commander';
import { type ErrorCode, TacitError } from '../protocol/errors.ts';
import type { SimulationIo } from '../simulations/io.ts';
import { renderError } from './errors.ts';
import { createProgress, type Progress } from './progress.ts';

/** The process around a command; tests put their own in its place. */
export interface Shell {
  readonly signal: AbortSignal;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** The status with which the process will end if nothing is thrown. */
  readonly exit: { status: number };
}

/** What a command found wrong, when its result has been given already. */
interface Rejection {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
}

export interface Context {
  readonly signal: AbortSignal;
  readonly json: boolean;
  readonly progress: Progress;
  /** The same for code that knows nothing of a command line (simulations/). */
  readonly io: SimulationIo;
  /** A line for people on stdout; with --json it goes nowhere. */
  print(text: string): void;
  /** A line that must be read while the command runs: on stdout, or with --json on stderr. */
  announce(text: string): void;
  /** The result: with --json its one line, otherwise `text`. */
  result(value: unknown, text?: string): void;
  /** Ends with the status of an error after the result has been printed; the error itself goes to stderr. */
  reject(problem: Rejection): void;
  /** Raw bytes of a result that is a stream of lines (`tacit embed`); resolves when more may be written. */
  write(text: string): Promise<void>;
}

interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The context of one command, given its --json and --quiet. */
export function createContext(shell: Shell, options: OutputOptions): Context {
  const { stdout, stderr, signal } = shell;
  const json = options.json === true;
  const progress = createProgress(stderr, { quiet: options.quiet === true });
  const say = (text: string): void => {
    progress.pause();
    stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  };
  const print = (text: string): void => {
    if (!json) say(text);
  };
  return {
    signal,
    json,
    progress,
    io: { progress: progress.live, round: progress.round, print },
    print,
    announce: (text) => {
      if (json) stderr.write(`${text}\n`);
      else say(text);
    },
    result: (value, text) => {
      progress.end();
      if (json) say(JSON.stringify(value));
      else if (text !== undefined) say(text);
    },
    reject: ({ code, message, ...details }) => {
      const error = new TacitError(code, message, details);
      stderr.write(renderError(error));
      shell.exit.status = error.exitStatus;
    },
    write: (text) =>
      new Promise((resolve, reject) => {
        stdout.write(text, (error) => (error ? reject(error) : resolve()));
      }),
  };
}

/** Binds an action to the shell: commander's arguments become (context, command arguments…, options). */
export function action<O extends OutputOptions, A extends readonly unknown[]>(
  shell: Shell,
  run: (context: Context, options: O, ...args: A) => Promise<void>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command;
    const context = createContext(shell, command.opts<O>());
    try {
      await run(context, command.opts<O>(), ...(given.slice(0, -2) as unknown as A));
    } finally {
      context.progress.end();
    }
  };
}
