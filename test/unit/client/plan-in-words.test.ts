import { describe, expect, it } from 'vitest';
import { factsOf, inBytes, leadOf, parametersSent, sharingOf, sizeRule } from '../../../client/plan-in-words.ts';
import { encoders, pretexts } from '../../../learning/registry.ts';
import { smallPlan } from './fixture.ts';

const textOf = (value: unknown): string => JSON.stringify(value);

describe('a plan in words', () => {
  it('says how much is sent, from the plan itself', () => {
    const plan = smallPlan();
    const parameters = parametersSent(plan);
    expect(parameters).toBeGreaterThan(1000);
    expect(textOf(factsOf(plan))).toContain(inBytes(parameters * 4));
    expect(textOf(sharingOf(plan).leaves)).toContain(parameters.toLocaleString('en'));
  });

  it('is honest about sealed updates: the coordinator can open them', () => {
    const { note, leaves, stays } = sharingOf(smallPlan());
    expect(note).toMatch(/coordinator can open each participant/);
    expect(note).toMatch(/infer/);
    expect(textOf(leaves)).toMatch(/weight update/);
    expect(textOf(stays)).toMatch(/not one pixel/);
  });

  it('names the number of examples as shared exactly when it is', () => {
    const weighted = sharingOf(smallPlan());
    expect(textOf(weighted.leaves)).toMatch(/How many images/);
    expect(textOf(weighted.stays)).not.toMatch(/number of your images/);
    const uniform = sharingOf(smallPlan({ privacy: { mode: 'sealed', clipNorm: 1, weights: 'uniform' } }));
    expect(textOf(uniform.leaves)).not.toMatch(/How many images/);
    expect(textOf(uniform.stays)).toMatch(/number of your images/);
  });

  it('has words for every encoder and every pretext task', () => {
    const words = (key: 'encoder' | 'pretext', name: string, term: string): string =>
      factsOf(smallPlan({ [key]: { name } })).find((fact) => fact.term === term)!.words;
    for (const name of encoders.keys()) expect(words('encoder', name, 'Encoder')).toContain(`${name} (`);
    for (const name of pretexts.keys()) expect(words('pretext', name, 'Pretext task')).not.toBe(name);
  });

  it('says what happens to images of another size', () => {
    expect(sizeRule(smallPlan())).toMatch(/exactly 8 × 8 pixels/);
    expect(sizeRule(smallPlan({ data: { shape: [8, 8, 1], resize: 'cover' } }))).toMatch(/any size/);
    expect(leadOf(smallPlan())).toMatch(/8 × 8 grey/);
  });
});

describe('inBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [12_345, '12 kB'],
    [999_600, '1.0 MB'],
    [1_234_567, '1.2 MB'],
    [5e9, '5.0 GB'],
  ])('%d is %s', (bytes, words) => {
    expect(inBytes(bytes)).toBe(words);
  });
});
