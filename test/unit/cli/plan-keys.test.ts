import { expect, test } from 'vitest';
import { z } from 'zod';
import { allPaths, keysAt } from '../../../cli/plan-keys.ts';
import { suggestKey, suggestName } from '../../../cli/plan-suggestions.ts';

const lookUp = (path: string, name: string) =>
  path === 'encoder' && name === 'conv'
    ? z.strictObject({ name: z.literal('conv'), channels: z.array(z.int()) })
    : undefined;

test('the top level and nested objects are read off the schema', () => {
  expect(keysAt({}, [])).toContain('training');
  expect(keysAt({}, ['rounds'])).toEqual(expect.arrayContaining(['count', 'cohort', 'maxCohort']));
  expect(keysAt({}, ['evaluation', 'knn'])).toEqual(['neighbours', 'temperature']);
  expect(keysAt({}, ['nowhere'])).toEqual([]);
});

test('a union is narrowed by its discriminator', () => {
  const plan = { training: { optimiser: { name: 'sgd' } } };
  expect(keysAt(plan, ['training', 'optimiser'])).toContain('momentum');
  expect(keysAt(plan, ['training', 'optimiser'])).not.toContain('beta1');
  expect(keysAt({}, ['training', 'optimiser'])).toEqual(expect.arrayContaining(['momentum', 'beta1']));
});

test('the options of a named thing come from its own schema', () => {
  expect(keysAt({ encoder: { name: 'conv' } }, ['encoder'], lookUp)).toContain('channels');
  expect(keysAt({ encoder: { name: 'other' } }, ['encoder'], lookUp)).not.toContain('channels');
});

test('all paths are listed with their parents', () => {
  expect(allPaths({})).toEqual(expect.arrayContaining(['rounds', 'rounds.count', 'training.schedule.name', 'task']));
});

test('a wrong key is answered by the nearest one, by the right depth, or by what is known', () => {
  expect(suggestKey('rounds.cout: there is no such key', {})).toContain('"rounds.count"');
  expect(suggestKey('rounds.count: Invalid\nsteps: there is no such key', {})).toContain('"training.steps"');
  expect(suggestKey('encoder.chanels: there is no such key', { encoder: { name: 'conv' } }, lookUp)).toContain(
    '"encoder.channels"',
  );
  expect(suggestKey('rounds.zzzzzz: there is no such key', {})).toContain('Known keys there: count');
  expect(suggestKey('rounds.count: Invalid input', {})).toBeUndefined();
});

test('a wrong name is answered by the nearest one, if it resembles any', () => {
  const asked = (name: string) =>
    suggestName(`rounds.cout: bad\nstrategy.name: "${name}" is not one of fedavg, shared-statistics`);
  expect(asked('fedavgg')).toBe('Did you mean "fedavg"?');
  expect(asked('statistics')).toBe('Did you mean "shared-statistics"?');
  expect(asked('zzz')).toBeUndefined();
  expect(suggestName('rounds.count: Invalid input')).toBeUndefined();
});
