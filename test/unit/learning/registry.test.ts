import { describe, expect, it } from 'vitest';
import { modelOf, parameterCount } from '../../../learning/model.ts';
import { completePlan, encoders, pretexts } from '../../../learning/registry.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { minimalPlan, planOf, TINY } from './plans.ts';

function refused(value: unknown): TacitError {
  try {
    completePlan(value);
  } catch (thrown) {
    if (thrown instanceof TacitError) return thrown;
    throw thrown;
  }
  throw new Error('was accepted');
}

describe('completePlan', () => {
  it('fills in the defaults of what is named', () => {
    const plan = completePlan(minimalPlan);
    expect(plan.encoder).toEqual({ name: 'mlp', hidden: [256, 256], dim: 128, normalisation: 'layer' });
    expect(plan.pretext).toMatchObject({ name: 'spectral', mu: 4 });
    expect(plan.augmentation).toMatchObject({ name: 'image', crop: [1, 1], flip: 0 });
  });

  it('changes nothing in a complete plan, also after a passage through JSON', () => {
    const plan = completePlan(minimalPlan);
    expect(completePlan(plan)).toEqual(plan);
    expect(JSON.stringify(completePlan(JSON.parse(JSON.stringify(plan))))).toBe(JSON.stringify(plan));
  });

  it.each([
    ['encoder', `encoder.name: "transformer" is not one of ${[...encoders.keys()].join(', ')}`],
    ['pretext', `pretext.name: "transformer" is not one of ${[...pretexts.keys()].join(', ')}`],
    ['augmentation', 'augmentation.name: "transformer" is not image'],
  ])('an unknown %s is answered with the known ones', (key, message) => {
    const error = refused({ ...minimalPlan, [key]: { name: 'transformer' } });
    expect([error.code, error.where]).toEqual(['plan/unknown-name', `${key}.name`]);
    expect(error.message).toContain(message);
  });

  it.each([
    [{ encoder: { name: 'mlp', hiden: [3] } }, 'encoder.hiden'],
    [{ encoder: { name: 'mlp', hidden: [3, -1] } }, 'encoder.hidden.1'],
    [{ encoder: { name: 'conv', groups: 5 } }, 'encoder.groups'],
    [{ pretext: { name: 'simclr', temperature: 0 } }, 'pretext.temperature'],
    [{ pretext: { name: 'spectral', projector: { widths: 3 } } }, 'pretext.projector.widths'],
    [{ augmentation: { name: 'image', erase: { probability: 2 } } }, 'augmentation.erase.probability'],
    [{ trainning: {} }, 'trainning'],
  ])('a wrong key is named by its path: %o', (change, where) => {
    const error = refused({ ...minimalPlan, ...change });
    expect([error.code, error.where]).toEqual(['plan/invalid', where]);
  });

  it.each([
    [{ data: { shape: [4, 4, 1], normalisation: { mean: [0, 0, 0], std: [1] } } }, 'data.normalisation.mean'],
    [{ data: { shape: [4, 4, 3], normalisation: { mean: [0], std: [1, 1] } } }, 'data.normalisation.std'],
    [{ data: { shape: [3, 3, 1] }, encoder: { name: 'conv' } }, 'encoder.strides'],
    [{ data: { shape: [3, 3, 1] }, encoder: { name: 'resnet' } }, 'encoder.depth'],
    [{ data: { shape: [4, 6, 1] }, encoder: { name: 'vit' } }, 'encoder.patch'],
    [{ data: { shape: [4, 6, 1] }, pretext: { name: 'mae', patch: 4 } }, 'pretext.patch'],
    [{ data: { shape: [4, 6, 1] }, pretext: { name: 'rotation' } }, 'data.shape'],
    [{ data: { shape: [4096, 4096, 3] }, training: { ...minimalPlan.training, batch: 64 } }, 'training.batch'],
    [{ rounds: { count: 1, cohort: 1000, maxCohort: 100_000 } }, 'rounds.maxCohort'],
    [{ admission: { certificates: 'required' } }, 'admission.operatorKey'],
    [{ admission: { certificates: 'required', operatorKey: 'AAAA' } }, 'admission.operatorKey'],
  ])('a plan that cannot hold is refused: %o', (change, where) => {
    const error = refused({ ...minimalPlan, ...change });
    expect([error.code, error.where]).toEqual(['plan/refused', where]);
    expect(error.hint).toBeTruthy();
  });
});

describe('modelOf', () => {
  const plan = planOf({ ...TINY.mlp, ...TINY.spectral });
  const model = modelOf(plan);

  it('names all parameters in order, encoder first', () => {
    expect(Object.keys(model.specs)).toEqual([
      'encoder/dense0/kernel',
      'encoder/norm0/scale',
      'encoder/norm0/offset',
      'encoder/dense1/kernel',
      'encoder/dense1/bias',
      'projector/dense0/kernel',
      'projector/norm0/scale',
      'projector/norm0/offset',
      'projector/dense1/kernel',
      'projector/dense1/bias',
    ]);
    expect(model.aggregated).toEqual(model.specs);
    expect(Object.keys(model.encoderSpecs)).toEqual(Object.keys(model.specs).slice(0, 5));
    expect(model.reportShape.dimension).toBe(parameterCount(model.specs));
    expect(model.reportShape.dimension).toBe(16 * 6 + 12 + 6 * 4 + 4 + 4 * 5 + 10 + 5 * 3 + 3);
  });

  it('initial values: of the shapes, the same for a seed, groups independent of each other', () => {
    const values = model.init(7);
    expect(Object.entries(values).map(([name, { shape }]) => [name, shape])).toEqual(
      Object.entries(model.specs).map(([name, { shape }]) => [name, shape]),
    );
    expect(model.init(7)).toEqual(values);
    expect(model.init(8)['encoder/dense0/kernel']).not.toEqual(values['encoder/dense0/kernel']);
    const standard = (name: string, fanIn: number) => values[name]!.data[0]! / Math.sqrt(2 / fanIn);
    expect(standard('projector/dense0/kernel', 4)).not.toBeCloseTo(standard('encoder/dense0/kernel', 16), 5);
    const wider = modelOf(planOf({ ...TINY.mlp, pretext: { name: 'spectral', projector: { hidden: [9] } } })).init(7);
    expect(wider['encoder/dense1/kernel']).toEqual(values['encoder/dense1/kernel']);
  });
});
