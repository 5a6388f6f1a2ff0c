/** How errors look to a person: code, message, where, what to try; never a stack unless TACIT_DEBUG=1 asks for it. */
import type { Command, CommanderError } from 'commander';
import { type ErrorCode, TacitError } from '../protocol/errors.ts';
import { printable } from './printable.ts';

/** What to try where the error itself does not say. */
const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  'data/unreadable': '`tacit data check PATH` lists every file that cannot be read.',
  'data/wrong-shape':
    'Set `resize: cover` or `contain` in the plan, or resize the images; `tacit data check PATH --plan FILE` shows their sizes.',
  'data/too-few-examples': 'Add images, or ask for a plan with a smaller data.minExamples.',
  'weights/malformed': 'The file must be one that Tacit wrote: encoder.safetensors of a run folder, or a checkpoint.',
  'weights/mismatch': 'Use the plan under which these weights were trained.',
  'net/tls': 'Certificate and key must be PEM files that can be read.',
  'run/store': 'Name a file or folder that can be written, and check that the disk has room.',
  'net/closed': 'Is the coordinator still running?',
  'net/timeout': 'Is the address right, and does nothing between block WebSockets?',
  'auth/wrong-fingerprint': 'Ask the operator for the current address; do not join a coordinator that has another key.',
  'auth/bad-signature': 'Somebody on the way may have changed what was sent: check the address and its fingerprint.',
  'wire/unsupported-version': 'Use versions of Tacit that belong together on both sides.',
  'policy/refused': 'Ask the operator for another plan, or change your policy file.',
  'run/failed': 'Look at the messages above and at metrics.jsonl in the run folder.',
  'engine/unavailable': '`tacit doctor` shows which engines run here.',
  internal: 'This is a defect of Tacit: run it again with TACIT_DEBUG=1 and report what it prints.',
};

const indent = (text: string, by: string): string => text.trimEnd().replaceAll('\n', `\n${by}`);

/** The lines that a person reads on stderr, newline included. */
export function renderError(error: TacitError, { stack = false }: { stack?: boolean } = {}): string {
  const hint = error.hint ?? HINTS[error.code];
  const lines = [`error [${error.code}]: ${indent(error.message, '  ')}`];
  if (error.where) lines.push(`  where: ${indent(error.where, '    ')}`);
  if (hint) lines.push(`  try: ${indent(hint, '    ')}`);
  if (stack) for (let e: unknown = error; e instanceof Error; e = e.cause) lines.push(e.stack ?? String(e));
  return `${printable(lines.join('\n'))}\n`;
}

/** The commands that a command line names: `tacit plan check` for `plan check FILE --jsn`. */
function commandOf(program: Command, argv: readonly string[]): string {
  const path = [program.name()];
  let command: Command | undefined = program;
  for (const word of argv) {
    command = command.commands.find((sub) => sub.name() === word);
    if (!command) break;
    path.push(word);
  }
  return path.join(' ');
}

/** Turns what commander says about a command line into an error with a code; its suggestion becomes the hint. */
export function fromCommander(error: CommanderError, program: Command, argv: readonly string[]): TacitError {
  const unknown = error.code === 'commander.unknownCommand';
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\(Did you mean (.*)\?\)$/.exec(rest.join(' ').trim())?.[1];
  const where = commandOf(program, argv);
  const listed = `${where} --help`;
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return new TacitError(
    unknown ? 'usage/unknown-command' : 'usage/unknown-flag',
    /[.!?]$/.test(text) ? text : `${text}.`,
    {
      where,
      hint: suggestion ? `Did you mean ${suggestion}? \`${listed}\` lists what there is.` : `See \`${listed}\`.`,
    },
  );
}
