/** How errors look to a person: code, message, where, what to try; never a stack unless TACIT_DEBUG=1 asks for it. */
import type { CommanderError } from 'commander';
import { TacitError } from '../protocol/errors.ts';

const indent = (text: string, by: string): string => text.trimEnd().replaceAll('\n', `\n${by}`);

/** The lines that a person reads on stderr, newline included. */
export function renderError(error: TacitError, { stack = false }: { stack?: boolean } = {}): string {
  const internal = error.code === 'internal';
  const hint =
    error.hint ??
    (internal ? 'This is a defect of Tacit: run it again with TACIT_DEBUG=1 and report what it prints.' : '');
  const lines = [`error [${error.code}]: ${indent(error.message, '  ')}`];
  if (error.where) lines.push(`  where: ${indent(error.where, '    ')}`);
  if (hint) lines.push(`  try: ${indent(hint, '    ')}`);
  if (stack) for (let e: unknown = error; e instanceof Error; e = e.cause) lines.push(e.stack ?? String(e));
  return `${lines.join('\n')}\n`;
}

/** The words of a command line up to the first flag: `plan check` of `plan check --jsn`. */
const commandOf = (argv: readonly string[]): string => {
  const end = argv.findIndex((word) => word.startsWith('-'));
  return ['tacit', ...argv.slice(0, end === -1 ? undefined : end)].join(' ');
};

/** Turns what commander says about a command line into an error with a code; its suggestion becomes the hint. */
export function fromCommander(error: CommanderError, argv: readonly string[]): TacitError {
  const unknown = error.code === 'commander.unknownCommand';
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\(Did you mean (.*)\?\)$/.exec(rest.join(' ').trim())?.[1];
  const listed = unknown ? 'tacit --help' : `${commandOf(argv).split(' ').slice(0, 3).join(' ')} --help`;
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return new TacitError(
    unknown ? 'usage/unknown-command' : 'usage/unknown-flag',
    /[.!?]$/.test(text) ? text : `${text}.`,
    {
      where: commandOf(argv),
      hint: suggestion ? `Did you mean ${suggestion}? \`${listed}\` lists what there is.` : `See \`${listed}\`.`,
    },
  );
}
