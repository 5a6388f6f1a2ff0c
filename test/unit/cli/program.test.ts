import { type Command, CommanderError } from 'commander';
import { expect, test } from 'vitest';
import type { Shell } from '../../../cli/context.ts';
import { fromCommander } from '../../../cli/errors.ts';
import { buildProgram } from '../../../cli/program.ts';
import { EXIT, type TacitError } from '../../../protocol/errors.ts';

/** What the command line says without doing anything. */
async function parse(...argv: string[]): Promise<{ out: string; error: CommanderError; program: Command }> {
  let out = '';
  const write = (text: string): void => {
    out += text;
  };
  const stream = { write } as unknown as NodeJS.WriteStream;
  const shell: Shell = { signal: new AbortController().signal, stdout: stream, stderr: stream, exit: { status: 0 } };
  const program = buildProgram(shell);
  const error = await program.parseAsync(argv, { from: 'user' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CommanderError);
  return { out, error: error as CommanderError, program };
}

async function mistake(...argv: string[]): Promise<TacitError> {
  const { error, program } = await parse(...argv);
  return fromCommander(error, program, argv);
}

const names = (command: Command, prefix: readonly string[] = []): string[][] =>
  command.commands.flatMap((sub) => {
    const path = [...prefix, sub.name()];
    return sub.commands.length > 0 ? names(sub, path) : [path];
  });

test('every command has a description and an example, and --json where it gives a result', async () => {
  const { program } = await parse('--help');
  const commands = names(program);
  expect(commands.map((path) => path.join(' '))).toEqual([
    'start',
    'serve',
    'join',
    'simulate',
    'finetune',
    'evaluate',
    'embed',
    'export',
    'plan check',
    'data check',
    'data preview',
    'privacy plan',
    'privacy spent',
    'keygen',
    'enroll',
    'verify',
    'engine explain',
    'doctor',
  ]);
  for (const path of commands) {
    const { out, error } = await parse(...path, '--help');
    expect(error.exitCode).toBe(EXIT.ok);
    expect(out).toMatch(new RegExp(`Usage: tacit ${path.join(' ')}`));
    expect(out).toMatch(/Examples?:\n {2}\$ (tacit|npm start|HTTPS_PROXY)/);
    expect(out).toContain('--json');
    if (out.includes('--set <key=value>')) expect(out).toMatch(/Short names for --set: rounds \(rounds.count\)/);
  }
});

test.each([
  [['strat'], 'usage/unknown-command', 'Did you mean start?', 'tacit'],
  [['plan', 'chek'], 'usage/unknown-command', 'Did you mean check?', 'tacit plan'],
  [['start', '--dateset', 'digits'], 'usage/unknown-flag', 'Did you mean --dataset?', 'tacit start'],
  [['keygen'], 'usage/unknown-flag', '`tacit keygen --help`', 'tacit keygen'],
  [['plan', 'check', 'a', 'b'], 'usage/unknown-flag', '`tacit plan check --help`', 'tacit plan check'],
  [['join', 'http://localhost:1'], 'usage/unknown-flag', '`tacit join --help`', 'tacit join'],
])('%j', async (argv, code, hint, where) => {
  const error = await mistake(...argv);
  expect(error).toMatchObject({ code, where, hint: expect.stringContaining(hint), exitStatus: EXIT.usage });
});

test.each([
  [['start', '--dataset', 'mnist'], 'digits, fashion-mnist'],
  [['start', '--seed', '1.5'], 'whole number'],
  [['start', '--seed', '-1'], 'whole number'],
  [['start', '--workers', 'all'], 'whole number'],
  [['start', '--engine', 'steam'], 'eager:wasm'],
  [['start', '--partition', 'dirichlet:0'], 'dirichlet:ALPHA'],
  [['serve', '--plan', 'digits', '--port', '70000'], 'from 0 to 65535'],
  [['finetune', 'run', '--data', 'digits', '--method', 'magic'], 'lp-ft'],
  [['privacy', 'spent', '--noise-multiplier', '1', '--rounds', '1', '--delta', '1'], 'below 1'],
  [['privacy', 'spent', '--noise-multiplier', '1', '--rounds', '1', '--sampling', '1.5'], 'at most 1'],
  [['privacy', 'spent', '--noise-multiplier', 'NaN', '--rounds', '1'], 'It must be a number above 0'],
  [['enroll', 'KEY', '--operator', 'key', '--out', 'cert', '--task', 'two words'], '1 to 64 of the characters'],
  [['privacy', 'plan', '--epsilon', '-8', '--rounds', '1'], 'above 0'],
])('%j says what it would take', async (argv, text) => {
  const error = await mistake(...argv);
  expect(error.code).toBe('usage/unknown-flag');
  expect(error.message).toContain(text);
});
