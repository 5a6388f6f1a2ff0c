/**
 * From a plan file to a complete plan: read YAML or JSON, lay overlays and `--set` over it, complete it from the schemas, and
 * say exactly where something is wrong: line and column of the file, or the `--set` that brought it in.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { StartingPoint } from '../learning/initial-weights.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { applyOverrides, type Override } from './overrides.ts';
import { packageRoot } from './package-root.ts';
import type { NamedSchema } from './plan-keys.ts';
import { suggestKey, suggestName, unknownKeys } from './plan-suggestions.ts';

interface PlanText {
  readonly path: string;
  readonly value: unknown;
  /** `file:line:column` of the deepest part of a dotted path that the file holds. */
  locate(path: readonly string[]): string;
}

/** The path of a plan that comes with Tacit: `digits`, `fashion-mnist`. */
export const bundledPlan = (name: string): string => join(packageRoot, 'plans', `${name}.yaml`);

function positionOf(doc: Document, lines: LineCounter, path: readonly string[]): { line: number; col: number } {
  let node: unknown = doc.contents;
  let offset = 0;
  for (const key of path) {
    const pair = isMap(node)
      ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
      : undefined;
    if (!pair) break;
    if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  return lines.linePos(offset);
}

/** Reads a plan file without judging its keys. @throws TacitError plan/unreadable, with line and column */
export async function readPlanText(path: string): Promise<PlanText> {
  const file = !existsSync(path) && existsSync(bundledPlan(path)) ? bundledPlan(path) : path;
  const text = await readFile(file, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    const reason = thrown.code === 'ENOENT' ? 'there is no such file' : thrown.code;
    throw new TacitError('plan/unreadable', `Cannot read the plan ${path}: ${reason}.`, {
      where: path,
      hint: 'Name a YAML or JSON file, or one of the plans that come with Tacit: digits, fashion-mnist.',
      cause: thrown,
    });
  });
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const error = doc.errors[0];
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new TacitError('plan/unreadable', `The plan is not YAML: line ${line}, column ${col}: ${error.message}`, {
      where: `${file}:${line}:${col}`,
      hint: 'Indent with spaces, and put text that holds ": " or starts with a special character in quotes.',
      cause: error,
    });
  }
  const value: unknown = doc.toJS();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TacitError('plan/invalid', 'A plan is a set of keys and values; this file holds something else.', {
      where: `${file}:1:1`,
      hint: 'Start from a plan that works: plans/digits.yaml.',
    });
  }
  const locate = (at: readonly string[]): string => {
    const { line, col } = positionOf(doc, lines, at);
    return `${file}:${line}:${col}`;
  };
  return { path: file, value, locate };
}

/** Lays the keys of `over` on those of `base`; objects are merged, everything else is replaced. */
function overlay(base: unknown, over: unknown): unknown {
  const isObject = (v: unknown): v is Record<string, unknown> =>
    typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over))
    merged[key] = Object.hasOwn(base, key) ? overlay(base[key], value) : value;
  return merged;
}

/** The override that a wrong path came in by: the last that set it, a part of it, or something above it. */
function culprit(overrides: readonly Override[], path: readonly string[]): Override | undefined {
  return overrides.findLast((o) => {
    const n = Math.min(o.path.length, path.length);
    return o.path.slice(0, n).every((key, i) => key === path[i]);
  });
}

/** The option schemas of the things that a plan may name. */
async function namedSchemas(): Promise<NamedSchema> {
  const { augmentations, encoders, pretexts } = await import('../learning/registry.ts');
  return (path, name) =>
    ({ encoder: encoders, pretext: pretexts, augmentation: augmentations })[path]?.get(name)?.schema;
}

async function explain(
  error: TacitError,
  text: PlanText,
  value: unknown,
  overrides: readonly Override[],
): Promise<TacitError> {
  const unknown = unknownKeys(error.message)[0];
  const path = (unknown ?? error.where ?? '').split('.').filter((part) => part && part !== '(top level)');
  const by = culprit(overrides, path);
  const suggestion = suggestKey(error.message, value, await namedSchemas()) ?? suggestName(error.message);
  return new TacitError(error.code, error.message, {
    where: `${by ? `--set ${by.text}` : text.locate(path)}${path.length > 0 ? ` (${path.join('.')})` : ''}`,
    hint: suggestion ?? error.hint ?? 'plans/digits.yaml is a plan that works, with a comment on each key.',
    cause: error,
  });
}

export interface PlanOptions {
  /** Further files laid over the first (`--quick`); missing ones are passed over. */
  readonly overlays?: readonly string[];
  readonly overrides?: readonly Override[];
  readonly seed?: number | undefined;
}

/**
 * The complete plan of a file and, if it names initial weights, the model that it starts from.
 * @throws TacitError plan/unreadable, plan/invalid, plan/unknown-name, plan/refused, each with its place; those of the weights
 */
export async function loadStart(path: string, options: PlanOptions = {}): Promise<StartingPoint> {
  const { overlays = [], overrides = [], seed } = options;
  const text = await readPlanText(path);
  let value = text.value;
  for (const file of overlays) if (existsSync(file)) value = overlay(value, (await readPlanText(file)).value);
  value = applyOverrides(value, overrides);
  if (seed !== undefined) value = { ...(value as object), seed };
  const { startingPoint } = await import('../learning/initial-weights.ts');
  try {
    return await startingPoint(value, [dirname(text.path), '.']);
  } catch (thrown) {
    throw thrown instanceof TacitError && thrown.code.startsWith('plan/')
      ? await explain(thrown, text, value, overrides)
      : thrown;
  }
}

/** The complete plan of a file. @throws TacitError as `loadStart` */
export const loadPlan = async (path: string, options?: PlanOptions): Promise<Plan> =>
  (await loadStart(path, options)).plan;
