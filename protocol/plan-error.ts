/** A failed check of a plan, in words that name each key by its path. */
import type { z } from 'zod';
import { TacitError } from './errors.ts';

const describeIssue = (issue: z.core.$ZodIssue): { where: string; text: string } => {
  const where = issue.path.map(String).join('.') || '(top level)';
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path, issue.keys[0] ?? ''].map(String).join('.');
    return { where: key, text: `there is no such key` };
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return { where, text: `is missing: ${issue.expected} expected` };
  }
  const known = issue.code === 'invalid_union' ? /Expected (.+)$/.exec(issue.message)?.[1] : undefined;
  if (known !== undefined) return { where, text: `is not one of ${known.replaceAll("'", '').replaceAll(' | ', ', ')}` };
  return { where, text: issue.message };
};

/** Turns the first issues of a failed parse into a coded error that names each key by its path. */
export function planError(error: z.ZodError, prefix = ''): TacitError {
  const issues = error.issues.map(describeIssue);
  const lines = issues.slice(0, 8).map(({ where, text }) => `${prefix}${where}: ${text}`);
  const unknownName = error.issues.some((i) => i.code === 'invalid_union' && 'discriminator' in i);
  return new TacitError(unknownName ? 'plan/unknown-name' : 'plan/invalid', lines.join('\n'), {
    where: `${prefix}${issues[0]?.where ?? ''}`,
    hint: 'See "The plan" in README.md, or run `tacit plan check FILE`.',
  });
}
