/** A participant whose policy, data or trainer says no: what it answers, and that it goes on where it can. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type LocalPolicy } from '../../../client/policy.ts';
import { memoryStore } from '../../../client/store.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { fakeCoordinator } from './fake-coordinator.ts';
import { smallPlan } from './fixture.ts';
import { fakeTrainer, start } from './participant-fixture.ts';

const plan = smallPlan();
const refusal = (code: string) => expect.objectContaining({ code });

describe('the local policy', () => {
  it('refuses a plan with every reason, before anything is trained', async () => {
    const coordinator = await fakeCoordinator(plan);
    const policy = { ...DEFAULT_POLICY, encoders: ['conv'], minCohort: 10 };
    const { result, events, trainer } = await start(coordinator, { policy });
    await expect(result).rejects.toThrow(refusal('policy/refused'));
    const refused = events.find(({ type }) => type === 'refused');
    expect(refused).toMatchObject({ refusals: [{ floor: 'encoders' }, { floor: 'minCohort' }] });
    expect(trainer.inputs).toEqual([]);
  });

  it.each([
    ['is incomplete', { encoders: ['conv'] }],
    ['has a floor of another type', { ...DEFAULT_POLICY, minSecureCohort: Number.NaN }],
  ])('that %s does not let through what it does not say', async (_what, given) => {
    const coordinator = await fakeCoordinator(plan);
    const { result, trainer } = await start(coordinator, { policy: given as unknown as LocalPolicy });
    await expect(result).rejects.toMatchObject({ code: expect.stringMatching(/^policy\//) });
    expect(trainer.inputs).toEqual([]);
  });

  it('declines offers that are stale, for another plan or of another kind, and stays', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer({ planHash: new Uint8Array(32) });
    expect(await event('declined', 0)).toMatchObject({ code: 'policy/refused' });
    await coordinator.offer({ kind: 'evaluate' });
    expect(await event('declined', 1)).toMatchObject({ code: 'policy/refused' });
    await coordinator.offer({ round: 0, attempt: 2 });
    await event('reported');
    await coordinator.offer({ round: 0, attempt: 1 });
    expect(await event('declined', 2)).toMatchObject({ code: 'round/stale' });
    expect(trainer.inputs).toHaveLength(1);
    await expect.poll(() => coordinator.sent('decline').length).toBe(3);
  });

  it('contributes to one model twice and not a third time', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    for (const [i, attempt] of [1, 2].entries()) {
      await coordinator.offer({ attempt });
      await event('reported', i);
    }
    await coordinator.offer({ attempt: 3 });
    expect(await event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
    expect(trainer.inputs).toHaveLength(2);
  });

  it('remembers contributions over a restart', async () => {
    const coordinator = await fakeCoordinator(plan);
    const policy = { ...DEFAULT_POLICY, maxContributionsPerModel: 1 };
    const store = memoryStore();
    const first = await start(coordinator, { store, policy });
    await first.event('plan');
    await coordinator.offer();
    await first.event('reported');
    first.stop.abort();
    await first.result;
    const second = await start(coordinator, { store, policy });
    await second.event('plan');
    await coordinator.offer({ attempt: 2 });
    expect(await second.event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
  });

  it('shares its limits with another process or tab of the same participant', async () => {
    const [one, other] = [
      await fakeCoordinator(plan, {}, new Uint8Array(32).fill(5)),
      await fakeCoordinator(plan, {}, new Uint8Array(32).fill(5)),
    ];
    const policy = { ...DEFAULT_POLICY, maxContributionsPerModel: 1 };
    const store = memoryStore();
    const trainer = fakeTrainer();
    let open = (): void => {};
    trainer.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const first = await start(one, { store, policy });
    const second = await start(other, { store, policy }, trainer);
    await Promise.all([first.event('plan'), second.event('plan')]);
    // both accept while nothing has been sent for the model; then one is faster
    await other.offer();
    await second.event('offer');
    await one.offer({ attempt: 2 });
    await first.event('reported');
    open();
    expect(await second.event('failed')).toMatchObject({ code: 'round/too-many-contributions' });
    expect(other.sent('upload')).toHaveLength(0);
    await other.offer({ attempt: 3 });
    expect(await second.event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
  });

  it('counts a contribution before it leaves, so that a crash can only make it more careful', async () => {
    const coordinator = await fakeCoordinator(plan);
    const store = memoryStore();
    const written: string[] = [];
    const { event } = await start(coordinator, {
      store: {
        ...store,
        update: (name, change) =>
          store.update(name, (before) => {
            const after = change(before);
            written.push(`${new TextDecoder().decode(after)} after ${coordinator.sent('upload').length} uploads`);
            return after;
          }),
      },
    });
    await event('plan');
    await coordinator.offer();
    await event('reported');
    expect(written.find((text) => /"contributions":\{"[0-9a-f]{64}":1\}/.test(text))).toMatch(/after 0 uploads/);
  });
});

describe('models that cannot be trained on', () => {
  const broken =
    (change: (data: Float32Array) => void) => (arrays: Awaited<ReturnType<typeof fakeCoordinator>>['initial']) =>
      Object.fromEntries(
        Object.entries(arrays).map(([name, array], i) => {
          const data = Float32Array.from(array.data);
          if (i === 0) change(data);
          return [name, { ...array, data }];
        }),
      );

  it('a model with NaN is neither trained nor answered with a report; the next one is', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const withNaN = broken((data) => {
      data[3] = Number.NaN;
    });
    await coordinator.offer({}, withNaN(coordinator.initial));
    expect(await event('failed')).toMatchObject({ code: 'weights/not-finite' });
    expect(trainer.inputs).toEqual([]);
    await coordinator.offer({ attempt: 2 });
    await event('reported');
    expect(coordinator.sent('decline')).toEqual([expect.objectContaining({ code: 'weights/not-finite' })]);
  });

  it('nor is a model of other shapes', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const { ...fewer } = coordinator.initial as Record<string, (typeof coordinator.initial)[string]>;
    delete fewer[Object.keys(fewer)[0]!];
    await coordinator.offer({}, fewer);
    expect(await event('failed')).toMatchObject({ code: 'weights/mismatch' });
    expect(trainer.inputs).toEqual([]);
  });

  it('training that diverges sends nothing, and after three times it leaves', async () => {
    const coordinator = await fakeCoordinator(plan);
    const trainer = fakeTrainer();
    trainer.output = () => {
      throw new TacitError('report/not-finite', 'the loss is NaN');
    };
    const { event, result } = await start(coordinator, {}, trainer);
    await event('plan');
    await coordinator.offer({ attempt: 1 });
    await event('failed', 0);
    await coordinator.offer({ attempt: 2 });
    await event('failed', 1);
    await coordinator.offer({ attempt: 3 });
    await expect(result).rejects.toThrow(refusal('report/not-finite'));
    expect(coordinator.sent('upload')).toEqual([]);
    expect(coordinator.sent('decline')).toHaveLength(2);
  });

  it('data that cannot be read end the participation with their own code', async () => {
    const coordinator = await fakeCoordinator(plan);
    const trainer = fakeTrainer();
    trainer.output = () => {
      throw new TacitError('data/unreadable', 'cat.png is truncated');
    };
    const { event, result } = await start(coordinator, {}, trainer);
    await event('plan');
    await coordinator.offer();
    await expect(result).rejects.toThrow(refusal('data/unreadable'));
  });

  it('data that do not fit the plan end it before the first round', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { result, events } = await start(coordinator, {
      checkData: async () => {
        throw new TacitError('data/too-few-examples', 'one image');
      },
    });
    await expect(result).rejects.toThrow(refusal('data/too-few-examples'));
    expect(events.some(({ type }) => type === 'plan')).toBe(false);
  });
});
