/** Flags that several commands share, so that each means the same everywhere. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { BundledName } from '../learning/data/source.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import { IDENTIFIER } from '../protocol/ids.ts';
import { type Override, parseOverride, SHORTHANDS } from './overrides.ts';

export const DATASETS: readonly BundledName[] = ['digits', 'fashion-mnist'];

/** A parser of whole numbers between two bounds. */
export const integer =
  (min: number, max = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(
        max === Number.MAX_SAFE_INTEGER
          ? `It must be a whole number of at least ${min}.`
          : `It must be a whole number from ${min} to ${max}.`,
      );
    }
    return value;
  };

/** A parser of names that go over the wire, collecting them. */
export const identifiers = (text: string, before: readonly string[] | undefined): readonly string[] => {
  if (IDENTIFIER.test(text)) return [...(before ?? []), text];
  throw new InvalidArgumentError('It must be 1 to 64 of the characters A–Z, a–z, 0–9 and . _ : -');
};

/** A parser of numbers between two bounds, which `1e-5` is as well as `0.5`; `above` leaves the lower bound itself out. */
export const number =
  (min: number, max: number, { above = false, below = false } = {}) =>
  (text: string): number => {
    const value = Number(text);
    const high = below ? value < max : value <= max;
    if (text.trim() !== '' && (above ? value > min : value >= min) && high) return value;
    const least = above ? `above ${min}` : `of at least ${min}`;
    const most = max === Infinity ? '' : below ? ` and below ${max}` : ` and at most ${max}`;
    throw new InvalidArgumentError(`It must be a number ${least}${most}.`);
  };

function engine(text: string): EngineChoice {
  if (text === 'auto' || text === 'compiled' || text === 'eager') return text;
  if (/^eager:[a-z0-9-]+$/.test(text)) return text as EngineChoice;
  throw new InvalidArgumentError('Known engines: auto, compiled, eager, eager:wasm, eager:cpu, eager:tensorflow.');
}

/** `iid`, `dirichlet:0.5`. */
export type PartitionChoice = { readonly kind: 'iid' } | { readonly kind: 'dirichlet'; readonly alpha: number };

function partition(text: string): PartitionChoice {
  if (text === 'iid') return { kind: 'iid' };
  const alpha = Number(/^dirichlet[:-](.+)$/.exec(text)?.[1]);
  if (alpha > 0 && Number.isFinite(alpha)) return { kind: 'dirichlet', alpha };
  throw new InvalidArgumentError('Write iid, or dirichlet:ALPHA with ALPHA above 0 (small is uneven).');
}

export const jsonOption = (): Option =>
  new Option('--json', 'print the result as one JSON line on stdout, and nothing else there');
export const quietOption = (): Option => new Option('--quiet', 'show no progress');
export const seedOption = (): Option =>
  new Option('--seed <n>', 'seed of everything random in learning (not of keys)').argParser(integer(0, 2 ** 32 - 1));
export const outOption = (what = 'run folder'): Option => new Option('--out <dir>', `${what} to write`);
export const datasetOption = (): Option => new Option('--dataset <name>', 'bundled data set').choices([...DATASETS]);
export const engineOption = (): Option =>
  new Option('--engine <name>', 'what runs the training steps: auto, compiled, eager or eager:BACKEND')
    .argParser(engine)
    .default('auto');
export const workersOption = (): Option =>
  new Option('--workers <n>', 'training workers (default: one for each core)').argParser(integer(1, 1024));
export const partitionOption = (): Option =>
  new Option('--partition <how>', 'how examples are shared out by class: iid or dirichlet:ALPHA').argParser(partition);
export const planOption = (): Option =>
  new Option('--plan <file>', 'plan as YAML or JSON, or the name of one that comes with Tacit');
export const dataOption = (): Option =>
  new Option(
    '--data <source>',
    'folder of images, IDX or CSV file, or a bundled data set: digits, fashion-mnist (digits:test for its test images)',
  );

/** What every command that works on the encoder of a run has besides its own flags. */
export const encoderOptions = (): readonly Option[] => [
  planOption(),
  seedOption(),
  engineOption(),
  jsonOption(),
  quietOption(),
];
export interface EncoderOptions {
  readonly plan?: string;
  readonly seed?: number;
  readonly engine: EngineChoice;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export const labelColumnOption = (): Option =>
  new Option('--label-column <name>', 'column of a CSV file that holds the label');

/** Where labels come from. */
export const labelOptions = (what = 'labelled images to score on'): readonly Option[] => [
  new Option('--test <source>', `${what} (default: the test images of a bundled set, else a fifth of the data)`),
  labelColumnOption(),
];
export interface LabelOptions {
  readonly test?: string;
  readonly labelColumn?: string;
}

export const setOption = (): Option =>
  new Option(
    '--set <key=value>',
    'set a key of the plan, by path or short name (rounds=3, encoder=conv); may be repeated',
  )
    .argParser((text: string, before: readonly Override[] | undefined) => [...(before ?? []), parseOverride(text)])
    .default([], 'none');

/** Adds options in order. */
export function withOptions(command: Command, ...options: readonly Option[]): Command {
  for (const option of options) command.addOption(option);
  return command;
}

/** `Example:` at the end of a command's help. */
export const withExample = (command: Command, ...lines: readonly string[]): Command =>
  command.addHelpText(
    'after',
    `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  $ ${line}`).join('\n')}`,
  );

/** What `--set` takes besides paths, at the end of a command's help. */
export function withShorthands(command: Command, { alpha = false }: { alpha?: boolean } = {}): Command {
  const names = Object.entries(SHORTHANDS).map(([name, path]) => `${name} (${path})`);
  const all = alpha ? [...names, 'alpha (--partition dirichlet:ALPHA)'] : names;
  return command.addHelpText('after', `\nShort names for --set: ${all.join(', ')}.`);
}
