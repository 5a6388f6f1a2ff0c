/** Which keys a plan knows at a path, read off the schemas themselves, so that a misspelt key can be answered with a known one. */
import { z } from 'zod';
import { planSchema } from '../protocol/plan.ts';

/** The schema of the options of the thing that is named at a path (`encoder` → the schema of `conv`), if there is one. */
export type NamedSchema = (path: string, name: string) => z.ZodType | undefined;

const fieldOf = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;

/** Takes defaults, optionals and transformations off a schema. */
function inner(schema: unknown): unknown {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return inner(schema.unwrap());
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return inner(schema.unwrap());
  if (schema instanceof z.ZodPipe) return inner(schema.in);
  return schema;
}

/** The object schemas that may describe `value`: one, or those of a union whose discriminator fits (all, if none does). */
function objectsOf(schema: unknown, value: unknown): z.ZodObject[] {
  const bare = inner(schema);
  if (bare instanceof z.ZodObject) return [bare];
  if (!(bare instanceof z.ZodUnion)) return [];
  const options = bare.options.flatMap((option) => objectsOf(option, value));
  const fitting = options.filter((option) =>
    Object.entries(option.shape).some(
      ([key, field]) => field instanceof z.ZodLiteral && field.values.has(fieldOf(value, key) as z.util.Literal),
    ),
  );
  return fitting.length > 0 ? fitting : options;
}

const named = (schemas: readonly z.ZodObject[], path: string, value: unknown, lookUp: NamedSchema): z.ZodObject[] => {
  const name = fieldOf(value, 'name');
  const own = typeof name === 'string' ? lookUp(path, name) : undefined;
  return own ? [...schemas, ...objectsOf(own, value)] : [...schemas];
};

/** Keys that may stand in the object at `path` of `plan`; empty when there is no such object. */
export function keysAt(plan: unknown, path: readonly string[], lookUp: NamedSchema = () => undefined): string[] {
  let value = plan;
  let schemas = objectsOf(planSchema, plan);
  const walked: string[] = [];
  for (const key of path) {
    value = fieldOf(value, key);
    walked.push(key);
    const next = schemas.flatMap((schema) => objectsOf(schema.shape[key], value));
    schemas = named(next, walked.join('.'), value, lookUp);
  }
  return [...new Set(schemas.flatMap((schema) => Object.keys(schema.shape)))];
}

/** Every path of the plan's own schema, for a key that was written at the wrong depth (`steps` → `training.steps`). */
export function allPaths(plan: unknown, lookUp?: NamedSchema, prefix: readonly string[] = []): string[] {
  return keysAt(plan, prefix, lookUp).flatMap((key) => {
    const path = [...prefix, key];
    return [path.join('.'), ...(prefix.length < 3 ? allPaths(plan, lookUp, path) : [])];
  });
}
