/** What to try when a plan has a key or a name that does not exist: the nearest known one, at that place or elsewhere in the plan. */
import { allPaths, keysAt, type NamedSchema } from './plan-keys.ts';
import { nearest } from './suggest.ts';

/** planError (protocol/plan-error.ts) writes one line for each wrong key, and one for each wrong name. */
const UNKNOWN_KEY = /^(\S+): there is no such key$/gm;
const UNKNOWN_NAME = /^\S+: "([^"]*)" is not one of (.+)$/m;

/** Paths of the keys that an error message says do not exist. */
export const unknownKeys = (message: string): string[] => [...message.matchAll(UNKNOWN_KEY)].map((match) => match[1]!);

/** A hint for the first unknown key that an error message names; undefined when it names none. */
export function suggestKey(message: string, plan: unknown, lookUp?: NamedSchema): string | undefined {
  const path = unknownKeys(message)[0]?.split('.');
  if (!path) return undefined;
  const parent = path.slice(0, -1);
  const key = path.at(-1)!;
  const known = keysAt(plan, parent, lookUp);
  const near = nearest(key, known);
  const elsewhere = allPaths(plan, lookUp).find((candidate) => candidate.split('.').at(-1) === key);
  const suggestion = near ? [...parent, near].join('.') : elsewhere;
  if (suggestion) return `Did you mean "${suggestion}"?`;
  return known.length > 0 ? `Known keys there: ${known.join(', ')}.` : undefined;
}

/** A hint for the first name that an error message says is not one of the known ones; undefined when it resembles none. */
export function suggestName(message: string): string | undefined {
  const [, name = '', known = ''] = UNKNOWN_NAME.exec(message) ?? [];
  const near = nearest(name, known.split(', '));
  return near ? `Did you mean "${near}"?` : undefined;
}
