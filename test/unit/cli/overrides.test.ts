import { expect, test } from 'vitest';
import { applyOverrides, parseOverride, SHORTHANDS } from '../../../cli/overrides.ts';
import { TacitError } from '../../../protocol/errors.ts';

const plan = {
  rounds: { count: 40, cohort: 10 },
  encoder: { name: 'mlp', layers: [256, 256, 128] },
  training: { steps: 20, optimiser: { name: 'adam', learningRate: 0.001, beta1: 0.8, weightDecay: 0.1 } },
};
const set = (...texts: string[]) => applyOverrides(plan, texts.map(parseOverride));

test('a dotted path sets one key and leaves the plan it was given alone', () => {
  const before = structuredClone(plan);
  expect(set('training.steps=7')).toEqual({ ...plan, training: { ...plan.training, steps: 7 } });
  expect(plan).toEqual(before);
});

test('values are YAML: numbers, lists, objects, null and text', () => {
  expect(parseOverride('a.b=[1, 2]').value).toEqual([1, 2]);
  expect(parseOverride('a={x: 1}').value).toEqual({ x: 1 });
  expect(parseOverride('a=null').value).toBeNull();
  expect(parseOverride('a=1e-3').value).toBe(0.001);
  expect(parseOverride('a=x=y').value).toBe('x=y');
});

test('short names stand for paths', () => {
  expect(parseOverride('rounds=3').path).toEqual(['rounds', 'count']);
  expect(parseOverride('steps=5').path).toEqual(['training', 'steps']);
  expect(parseOverride('lr=0.1').path).toEqual(['training', 'optimiser', 'learningRate']);
  for (const path of Object.values(SHORTHANDS)) expect(path).toMatch(/^[a-zA-Z.]+$/);
});

test('another name drops the options of the old thing, the same name keeps them', () => {
  expect(set('encoder=conv')).toMatchObject({ encoder: { name: 'conv' } });
  expect((set('encoder=conv') as typeof plan).encoder).toEqual({ name: 'conv' });
  expect((set('encoder=mlp') as typeof plan).encoder).toEqual(plan.encoder);
  expect((set('encoder=conv', 'encoder.width=8') as typeof plan).encoder).toEqual({ name: 'conv', width: 8 });
});

test('another optimiser keeps the learning rate and the weight decay', () => {
  expect((set('optimiser=sgd') as typeof plan).training.optimiser).toEqual({
    name: 'sgd',
    learningRate: 0.001,
    weightDecay: 0.1,
  });
});

test.each([
  ['rounds', 'no "="'],
  ['=3', 'no "="'],
  ['a b=3', 'not a path'],
  ['__proto__.x=3', 'not a path'],
  ['a=[1', 'not YAML'],
  ['training.steps.more=1', 'is a value'],
])('%s is refused: %s', (text, message) => {
  const error = (() => {
    try {
      return set(text);
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(TacitError);
  expect((error as TacitError).code).toBe('usage/unknown-flag');
  expect((error as TacitError).message).toContain(message);
});
