import { describe, expect, it } from 'vitest';
import { afterAccepting, afterContributing, EMPTY_NOTEBOOK, withNotes } from '../../../client/notebook.ts';
import {
  checkOffer,
  checkPlan,
  contributionLimit,
  DEFAULT_POLICY,
  type LocalPolicy,
  parsePolicy,
} from '../../../client/policy.ts';
import { toHex } from '../../../protocol/bytes.ts';
import type { Offer } from '../../../protocol/messages.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { gaussianEpsilon } from '../../../protocol/privacy/gaussian.ts';
import { smallPlan } from './fixture.ts';

const plan = smallPlan();
const FACTS = { planHash: 'ab'.repeat(32), parameters: 1000 };
const policy = (changes: Partial<LocalPolicy>): LocalPolicy => ({ ...DEFAULT_POLICY, ...changes });
const floors = (changes: Partial<LocalPolicy>, of = plan): string[] =>
  checkPlan(policy(changes), of, FACTS).map(({ floor }) => floor);

describe('parsePolicy', () => {
  it('completes what a person wrote', () => {
    expect(parsePolicy({})).toEqual(DEFAULT_POLICY);
    expect(parsePolicy({ minCohort: 5, encoders: ['conv'] })).toEqual(policy({ minCohort: 5, encoders: ['conv'] }));
  });

  it('names a key that is unknown or out of range', () => {
    expect(() => parsePolicy({ minimumCohort: 3 })).toThrow(
      expect.objectContaining({ code: 'policy/invalid', message: expect.stringContaining('minimumCohort') }),
    );
    expect(() => parsePolicy({ minCohort: 'three' })).toThrow(expect.objectContaining({ code: 'policy/invalid' }));
    expect(() => parsePolicy('none')).toThrow(expect.objectContaining({ code: 'policy/invalid' }));
  });
});

describe('checkPlan', () => {
  it('admits a plain plan under the default policy', () => {
    expect(checkPlan(DEFAULT_POLICY, plan, FACTS)).toEqual([]);
  });

  it('refuses what is not on its lists', () => {
    expect(floors({ encoders: ['conv'] })).toEqual(['encoders']);
    expect(floors({ pretexts: ['simclr'] })).toEqual(['pretexts']);
    expect(floors({ strategies: [] })).toEqual(['strategies']);
    expect(floors({ privacyModes: ['secagg'] })).toEqual(['privacyModes']);
    expect(floors({ planHashes: ['cd'.repeat(32)] })).toEqual(['planHashes']);
    expect(floors({ encoders: ['conv', 'mlp'], planHashes: [FACTS.planHash] })).toEqual([]);
  });

  it('refuses what lies beyond its numbers, and only beyond', () => {
    expect(floors({ minCohort: 4 })).toEqual(['minCohort']);
    expect(
      floors({ minCohort: 3, minReports: 2, minSteps: 2, maxSteps: 2, minBatch: 8, maxBatch: 8, maxRounds: 3 }),
    ).toEqual([]);
    expect(floors({ minReports: 3 })).toEqual(['minReports']);
    expect(floors({ minSteps: 3 })).toEqual(['minSteps']);
    expect(floors({ maxSteps: 1 })).toEqual(['maxSteps']);
    expect(floors({ maxBatch: 7 })).toEqual(['maxBatch']);
    expect(floors({ maxRounds: 2 })).toEqual(['maxRounds']);
    expect(floors({ maxClipNorm: 0.5 })).toEqual(['maxClipNorm']);
    expect(floors({ maxParameters: 999 })).toEqual(['maxParameters']);
  });

  it('wants certificates where they are required', () => {
    expect(floors({ requireCertificates: true })).toEqual(['requireCertificates']);
    expect(
      floors(
        { requireCertificates: true },
        smallPlan({ admission: { certificates: 'required', operatorKey: 'A'.repeat(43) } }),
      ),
    ).toEqual([]);
  });

  it('gives every reason at once, in words that name the value', () => {
    const refusals = checkPlan(policy({ encoders: ['conv'], minCohort: 10 }), plan, FACTS);
    expect(refusals.map(({ reason }) => reason)).toEqual([
      'the encoder "mlp" is not allowed here (conv)',
      'the cohort is 3; at least 10 is required here',
    ]);
  });

  it('refuses by default batches so small that a readable update may be one image', () => {
    const training = { steps: 1, batch: 7, optimiser: { name: 'sgd', learningRate: 0.1 } };
    expect(floors({}, smallPlan({ training }))).toEqual(['minBatch']);
    expect(floors({ minBatch: 7 }, smallPlan({ training }))).toEqual([]);
    const privacy = { mode: 'secagg', clipNorm: 1 };
    const rounds = { count: 1, cohort: 6, minReports: 5 };
    expect(floors({}, smallPlan({ training, privacy, rounds }))).toEqual([]);
  });

  it('refuses a cohort of one by default', () => {
    expect(floors({}, smallPlan({ rounds: { count: 1, cohort: 1, minReports: 1 } }))).toEqual(['minCohort']);
  });
});

const planHash = new Uint8Array(32).fill(7);
const NOW = 1_700_000_000_000;
const offer = (changes: Partial<Offer> = {}): Offer => ({
  v: 1,
  task: plan.task,
  kind: 'train',
  round: 1,
  attempt: 1,
  modelVersion: 0,
  modelHash: new Uint8Array(32).fill(1),
  planHash,
  nonce: new Uint8Array(32),
  ...changes,
});
const decide = (asked: Offer, notebook = EMPTY_NOTEBOOK, changes: Partial<LocalPolicy> = {}, hash = 'new') => {
  const decision = checkOffer(policy(changes), asked, { plan, planHash, offerHash: hash, notebook, nowMs: NOW });
  return decision.kind === 'accept' ? 'accept' : decision.code;
};

describe('checkOffer', () => {
  it('accepts a first offer, and the same offer again', () => {
    expect(decide(offer())).toBe('accept');
    expect(decide(offer(), afterAccepting(EMPTY_NOTEBOOK, offer(), 'new', NOW))).toBe('accept');
  });

  it('declines another task, another plan, another kind and a round beyond the plan', () => {
    expect(decide(offer({ task: 'other' }))).toBe('round/stale');
    expect(decide(offer({ planHash: new Uint8Array(32) }))).toBe('policy/refused');
    expect(decide(offer({ kind: 'evaluate' }))).toBe('policy/refused');
    expect(decide(offer({ round: 3 }))).toBe('policy/refused');
    expect(decide(offer({ round: 2 }))).toBe('accept');
  });

  it('moves forward only: (round, attempt) after the last', () => {
    const after = afterAccepting(EMPTY_NOTEBOOK, offer({ round: 2, attempt: 2 }), 'last', NOW);
    expect(decide(offer({ round: 2, attempt: 2 }), after)).toBe('round/stale');
    expect(decide(offer({ round: 2, attempt: 1 }), after)).toBe('round/stale');
    expect(decide(offer({ round: 1, attempt: 9 }), after)).toBe('round/stale');
    expect(decide(offer({ round: 2, attempt: 3 }), after)).toBe('accept');
    const before = afterAccepting(EMPTY_NOTEBOOK, offer({ round: 1, attempt: 2 }), 'last', NOW);
    expect(decide(offer({ round: 2, attempt: 1 }), before)).toBe('accept');
  });

  it('contributes to one model as often as both plan and policy allow', () => {
    const hash = toHex(offer().modelHash);
    const once = afterContributing(EMPTY_NOTEBOOK, hash);
    const twice = afterContributing(once, hash);
    expect(contributionLimit(DEFAULT_POLICY, plan)).toBe(2);
    expect(contributionLimit(policy({ maxContributionsPerModel: 1 }), plan)).toBe(1);
    expect(decide(offer(), once)).toBe('accept');
    expect(decide(offer(), twice)).toBe('round/too-many-contributions');
    expect(decide(offer({ round: 2, modelVersion: 9 }), twice)).toBe('round/too-many-contributions');
    expect(decide(offer(), once, { maxContributionsPerModel: 1 })).toBe('round/too-many-contributions');
    expect(decide(offer({ modelHash: new Uint8Array(32).fill(2) }), twice)).toBe('accept');
  });

  it('starts the first round only from the initial weights that the plan names, if it names some', () => {
    const named = (modelHash: string): Plan => ({ ...plan, initialWeights: { modelHash } });
    const decideUnder = (under: Plan, changes: Partial<Offer> = {}) =>
      checkOffer(DEFAULT_POLICY, offer(changes), {
        plan: under,
        planHash,
        offerHash: 'new',
        notebook: EMPTY_NOTEBOOK,
        nowMs: NOW,
      });
    const right = named(toHex(offer().modelHash));
    expect(decideUnder(right, { round: 0 }).kind).toBe('accept');
    expect(decideUnder(named('0'.repeat(64)), { round: 0 })).toMatchObject({ kind: 'decline', code: 'policy/refused' });
    expect(decideUnder(named('0'.repeat(64)), { round: 1 }).kind).toBe('accept');
  });

  it('starts only from the model that the last signed round gave', () => {
    const notes = { head: '1'.repeat(64), round: 1, modelHash: toHex(offer().modelHash) };
    const after = withNotes(EMPTY_NOTEBOOK, toHex(planHash), notes);
    expect(decide(offer({ round: 1 }), after)).toBe('accept');
    expect(decide(offer({ round: 1, modelHash: new Uint8Array(32).fill(9) }), after)).toBe('policy/refused');
  });

  it('counts contributions to a model that comes with the offer taken last', () => {
    const taken = afterAccepting(EMPTY_NOTEBOOK, offer(), 'last', NOW);
    const hash = toHex(offer().modelHash);
    const full = afterContributing(afterContributing(taken, hash), hash);
    expect(decide(offer(), full, {}, 'last')).toBe('round/too-many-contributions');
  });

  it('takes so many offers an hour and no more', () => {
    let notebook = EMPTY_NOTEBOOK;
    const at = (i: number, ms: number) => {
      notebook = afterAccepting(notebook, offer({ round: 1, attempt: i }), `offer ${i}`, ms);
    };
    at(1, NOW - 3_600_001);
    at(2, NOW - 1000);
    at(3, NOW - 500);
    expect(decide(offer({ round: 2 }), notebook, { maxOffersPerHour: 2 })).toBe('policy/refused');
    expect(decide(offer({ round: 2 }), notebook, { maxOffersPerHour: 3 })).toBe('accept');
  });
});

describe('masked sums', () => {
  const masked = (rounds: object, admission = {}) =>
    smallPlan({
      rounds: { count: 3, cohort: 8, ...rounds },
      privacy: { mode: 'secagg', clipNorm: 1 },
      admission: { certificates: 'none', ...admission },
    });
  const floors = (policy: object, plan: Plan) =>
    checkPlan({ ...DEFAULT_POLICY, ...policy }, plan, { planHash: '00', parameters: 1 }).map(({ floor }) => floor);

  it('are taken part in from five participants on, or what the policy says, never fewer than three', () => {
    expect(floors({}, masked({ minReports: 5 }))).toEqual([]);
    expect(floors({}, masked({ minReports: 4 }))).toEqual(['minSecureCohort']);
    expect(floors({ minSecureCohort: 4 }, masked({ minReports: 4 }))).toEqual([]);
    expect(() => parsePolicy({ minSecureCohort: 2 })).toThrow(/minSecureCohort/);
  });

  it('[MS7] plans with too few are refused for everybody', () => {
    expect(() => masked({ minReports: 2 })).toThrow(/hides nothing/);
    expect(() => masked({ minReports: 3 })).toThrow(/none may drop out/);
    const plan = smallPlan({
      rounds: { count: 1, cohort: 3, minReports: 3 },
      privacy: { mode: 'secagg', clipNorm: 1, allowNoDropout: true },
    });
    expect(plan.rounds.minReports).toBe(3);
  });

  it('an operator can be pinned: another one, or none, is refused', () => {
    const operatorKeys = ['A'.repeat(43)];
    const required = (operatorKey: string) => masked({ minReports: 5 }, { certificates: 'required', operatorKey });
    expect(floors({ operatorKeys }, required('A'.repeat(43)))).toEqual([]);
    expect(floors({ operatorKeys }, required(`${'B'.repeat(42)}A`))).toEqual(['operatorKeys']);
    expect(floors({ operatorKeys }, masked({ minReports: 5 }))).toEqual(['operatorKeys']);
  });
});

describe('a privacy budget', () => {
  const noised: Plan = {
    ...plan,
    privacy: {
      mode: 'secagg+dp',
      clipNorm: 1,
      adaptiveClipping: null,
      noiseMultiplier: 2,
      epsilon: 8,
      delta: 1e-5,
      collusion: true,
      weights: 'uniform',
      allowNoDropout: false,
    },
  };

  it('of a plan that is larger than the own one is refused', () => {
    expect(floors({ minSecureCohort: 0 }, noised)).toEqual([]);
    expect(floors({ minSecureCohort: 0, maxEpsilon: 7.9 }, noised)).toEqual(['maxEpsilon']);
    expect(floors({ minSecureCohort: 0, maxDelta: 1e-6 }, noised)).toEqual(['maxDelta']);
  });

  it('adds up over reports, and the offer that would pass it is declined', () => {
    const planHash = new Uint8Array(32).fill(9);
    let notebook = EMPTY_NOTEBOOK;
    const noisedOffer = (round: number): Offer => ({
      v: 1,
      task: plan.task,
      kind: 'train',
      round,
      attempt: 0,
      modelVersion: round,
      modelHash: new Uint8Array(32).fill(round),
      planHash,
      nonce: new Uint8Array(32),
    });
    const decide = (own: LocalPolicy, round: number, known = notebook) =>
      checkOffer(own, noisedOffer(round), {
        plan: { ...noised, rounds: { ...plan.rounds, count: 100 } },
        planHash,
        offerHash: `${round}`,
        notebook: known,
        nowMs: 0,
      });
    let taken = 0;
    while (decide(DEFAULT_POLICY, taken).kind === 'accept') {
      notebook = afterContributing(notebook, `${taken}`, 2);
      taken += 1;
    }
    expect(gaussianEpsilon(2, taken, 1e-5)).toBeLessThanOrEqual(8);
    expect(gaussianEpsilon(2, taken + 1, 1e-5)).toBeGreaterThan(8);
    expect(decide(DEFAULT_POLICY, taken)).toMatchObject({ kind: 'decline', code: 'privacy/budget-spent' });
    // the same offer again, whose report may have left already, would be one more
    const last = taken - 1;
    const again = afterAccepting(notebook, noisedOffer(last), `${last}`, 0);
    expect(decide(DEFAULT_POLICY, last, again)).toMatchObject({ kind: 'decline', code: 'privacy/budget-spent' });
    // a budget of one's own ends it earlier, another plan's reports count as well, and masks alone spend nothing
    expect(decide(policy({ maxEpsilon: 3 }), 0).kind).toBe('decline');
    expect(notebook.privacy).toEqual({ releases: taken, squares: taken / 4 });
    expect(afterContributing(notebook, 'sealed').privacy).toEqual(notebook.privacy);
  });
});
