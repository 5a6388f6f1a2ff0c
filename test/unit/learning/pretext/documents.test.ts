/** What CONTRIBUTING.md asks of a pretext task and of an encoder besides its code. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { modelOf, parameterCount } from '../../../../learning/model.ts';
import { completePlan, encoders, pretexts } from '../../../../learning/registry.ts';
import { minimalPlan } from '../plans.ts';

const textOf = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8');
const readme = textOf('README.md');
const section = (heading: string): string => readme.split(`### ${heading}\n`)[1]!.split(/\n#+ /)[0]!;

describe.each([...pretexts.keys()])('pretext task %s', (name) => {
  it('is one file of at most 120 lines, the header of which cites the paper that the task names', () => {
    const file = textOf(`learning/pretext/${name}.ts`);
    expect(file.trimEnd().split('\n').length).toBeLessThanOrEqual(120);
    const year = pretexts.get(name)!.paper.match(/\b(19|20)\d\d\b/);
    expect(year, pretexts.get(name)!.paper).not.toBeNull();
    expect(file.split('*/')[0]).toMatch(/\b(19|20)\d\d\b/);
  });

  it('is in the list of the README, and the range of its loss in the specification', () => {
    expect(section('Pretext tasks')).toContain(`\n| \`${name}\` |`);
    const ranges = textOf('protocol/SPEC.md').split('[RP3]')[1]!.split('\n#')[0]!;
    expect(ranges).toMatch(new RegExp(`\\n\\| \`${name}\` +\\|`));
  });
});

describe('the encoders of the README', () => {
  const table = section('Encoders');
  const shapes: Readonly<Record<string, readonly [number, number, number]>> = {
    mlp: [8, 8, 1],
    conv: [28, 28, 1],
    resnet: [28, 28, 1],
    vit: [28, 28, 1],
  };

  const parameters = (encoder: object, shape: readonly number[]): string => {
    const plan = completePlan({ ...minimalPlan, encoder, data: { shape, resize: 'error' } });
    return parameterCount(modelOf(plan).encoderSpecs).toLocaleString('en');
  };

  it.each([...encoders.keys()])('%s has as many parameters as is said', (name) => {
    const row = table.split('\n').find((line) => line.startsWith(`| \`${name}\` |`))!;
    expect(row).toContain(parameters({ name }, shapes[name]!));
    if (name === 'resnet') expect(row).toContain(parameters({ name, depth: 18 }, [32, 32, 3]));
  });
});
