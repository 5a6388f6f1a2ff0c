/** A failed check of a plan, in words that name each key by its path, say what stood there and what may. */
import type { z } from 'zod';
import { TacitError } from './errors.ts';

/** Characters of a wrong value that are repeated. */
const SHOWN = 60;

/** `"fedavgg" is not one of fedavg, shared-statistics` */
function notOneOf(given: unknown, known: readonly unknown[]): string {
  const shown = JSON.stringify(given) ?? String(given);
  const one = known.length === 1 ? 'is not' : 'is not one of';
  return `${shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown} ${one} ${known.join(', ')}`;
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce((at: unknown, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], value);

/** Whether a name chooses among forms of an object, and none has this one. */
const isUnknownName = (issue: z.core.$ZodIssue): issue is z.core.$ZodIssueInvalidUnion & { options: unknown[] } =>
  issue.code === 'invalid_union' && 'discriminator' in issue && 'options' in issue;

function describeIssue(issue: z.core.$ZodIssue, value: unknown): { where: string; text: string } {
  const where = issue.path.map(String).join('.') || '(top level)';
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path, issue.keys[0] ?? ''].map(String).join('.');
    return { where: key, text: `there is no such key` };
  }
  const given = valueAt(value, issue.path);
  const known = isUnknownName(issue) ? issue.options : issue.code === 'invalid_value' ? issue.values : undefined;
  if (known) {
    return { where, text: given === undefined ? `is missing: one of ${known.join(', ')}` : notOneOf(given, known) };
  }
  if (issue.code === 'invalid_type' && given === undefined)
    return { where, text: `is missing: ${issue.expected} expected` };
  return { where, text: issue.message };
}

/** Turns the first issues of a failed parse of `value` into a coded error that names each key by its path. */
export function planError(error: z.ZodError, value: unknown, prefix = ''): TacitError {
  const issues = error.issues.map((issue) => describeIssue(issue, value));
  const lines = issues.slice(0, 8).map(({ where, text }) => `${prefix}${where}: ${text}`);
  return new TacitError(error.issues.some(isUnknownName) ? 'plan/unknown-name' : 'plan/invalid', lines.join('\n'), {
    where: `${prefix}${issues[0]?.where ?? ''}`,
    hint: 'See "The plan" in README.md, or run `tacit plan check FILE`.',
  });
}

/** The error for a name that is in no table of those that there are. */
export const unknownName = (where: string, given: string, known: Iterable<string>): TacitError =>
  new TacitError('plan/unknown-name', `${where}: ${notOneOf(given, [...known])}`, { where });
