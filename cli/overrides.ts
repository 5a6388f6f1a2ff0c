/**
 * `--set key=value`: a dotted path into the plan and a YAML value, or one of the short names below. Setting a named thing to
 * another name (`encoder=conv`) drops the options of the old one, so that the new one starts from its own defaults.
 */
import { parse } from 'yaml';
import { TacitError } from '../protocol/errors.ts';

/** Short names of keys that are set often; README.md repeats this table. */
export const SHORTHANDS: Readonly<Record<string, string>> = {
  rounds: 'rounds.count',
  cohort: 'rounds.cohort',
  participants: 'rounds.cohort',
  steps: 'training.steps',
  batch: 'training.batch',
  optimiser: 'training.optimiser',
  optimizer: 'training.optimiser',
  lr: 'training.optimiser.learningRate',
  learningRate: 'training.optimiser.learningRate',
  schedule: 'training.schedule',
  clipNorm: 'privacy.clipNorm',
  privacy: 'privacy.mode',
  mode: 'privacy.mode',
  draws: 'evaluation.draws',
  labelsPerClass: 'evaluation.labelsPerClass',
};

/** Options that every thing of a kind shares and that survive a change of its name. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  encoder: [],
  pretext: [],
  augmentation: [],
  strategy: [],
  'training.optimiser': ['learningRate', 'weightDecay'],
  'training.schedule': ['warmupRounds'],
};

export interface Override {
  /** As it was typed, for errors. */
  readonly text: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

const bad = (text: string, message: string): TacitError =>
  new TacitError('usage/unknown-flag', `--set ${text}: ${message}`, {
    where: `--set ${text}`,
    hint: 'Write --set key=value, for example --set rounds=3 or --set training.optimiser.learningRate=0.001.',
  });

/** Reads one `key=value`. @throws TacitError usage/unknown-flag when it is not of that form */
export function parseOverride(text: string): Override {
  const split = text.indexOf('=');
  if (split < 1) throw bad(text, 'there is no "=" between a key and a value.');
  const key = text.slice(0, split).trim();
  const path = (Object.hasOwn(SHORTHANDS, key) ? SHORTHANDS[key]! : key).split('.');
  if (!path.every((part) => /^[A-Za-z0-9]+$/.test(part))) throw bad(text, `"${key}" is not a path of the plan.`);
  try {
    return { text, path, value: parse(text.slice(split + 1)) };
  } catch (thrown) {
    throw bad(text, `the value is not YAML: ${thrown instanceof Error ? thrown.message.split('\n')[0] : thrown}`);
  }
}

type Node = Record<string, unknown>;
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

function rename(current: unknown, name: unknown, kept: readonly string[]): unknown {
  if (!isNode(current) || current.name === name) return isNode(current) ? current : { name };
  return { name, ...Object.fromEntries(Object.entries(current).filter(([key]) => kept.includes(key))) };
}

/** A copy of `plan` with the overrides applied in order; whether the keys exist is for the plan's schema to say. */
export function applyOverrides(plan: unknown, overrides: readonly Override[]): unknown {
  const root: unknown = structuredClone(plan);
  if (!isNode(root)) return root;
  for (const { text, path, value } of overrides) {
    let node: Node = root;
    for (const key of path.slice(0, -1)) {
      const next = Object.hasOwn(node, key) ? node[key] : undefined;
      if (next !== undefined && !isNode(next)) throw bad(text, `"${key}" is a value and has no keys of its own.`);
      const child = next ?? {};
      node[key] = child;
      node = child;
    }
    const last = path.at(-1)!;
    const kept = KEPT[path.join('.')];
    node[last] = kept && typeof value === 'string' ? rename(node[last], value, kept) : value;
  }
  return root;
}
