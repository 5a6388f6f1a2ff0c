/** What a participant owes itself, whatever a coordinator does: run in Node and in a browser. */
import { describe, expect, test } from 'vitest';
import type { ParticipantEvent } from '../../client/events.ts';
import { joinFederation } from '../../client/participant.ts';
import { parsePolicy } from '../../client/policy.ts';
import { modelOf } from '../../learning/model.ts';
import { completePlan } from '../../learning/registry.ts';
import { toHex } from '../../protocol/bytes.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { TacitError } from '../../protocol/errors.ts';
import { type Identity, identityFromSeed } from '../../protocol/identity.ts';
import type { Plan } from '../../protocol/plan.ts';
import { type Advertisement, decodeUnmasking } from '../../protocol/secagg/objects.ts';
import { advertiseStatement } from '../../protocol/secagg/statements.ts';
import {
  certificateFor,
  type HostileCoordinator,
  hostileCoordinator,
  type Malice,
} from '../fixtures/hostile-coordinator.ts';

const OTHERS = 6;
/** The participant's key, made from this seed. */
const OWN = { seed: 3, hex: 'ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1' };
const UNTIL_WORDS = ['advertisement', 'sealed-shares'];
const ALL = ['advertisement', 'sealed-shares', 'agreement', 'unmasking'];

const planFor = (operator?: Identity): Plan =>
  completePlan({
    version: 1,
    task: 'hostile',
    data: { shape: [4, 4, 1] },
    encoder: { name: 'mlp', hidden: [4], dim: 4 },
    pretext: { name: 'spectral', projector: { hidden: [], dim: 4 } },
    augmentation: { name: 'image' },
    training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 3, cohort: 7, maxCohort: 8, minReports: 5, overSelection: 1 },
    privacy: { mode: 'secagg', clipNorm: 1 },
    ...(operator ? { admission: { certificates: 'required', operatorKey: operator.id } } : {}),
  });

interface Scene {
  readonly coordinator: HostileCoordinator;
  readonly events: ParticipantEvent[];
  /** Resolves with the code with which the participant ended, gave up an attempt or declined. */
  readonly outcome: Promise<string>;
  readonly end: () => void;
}

/** A participant with a hostile coordinator, which offers a round as soon as the plan is agreed to. */
async function scene(
  crypto: CryptoProvider,
  malice: Malice,
  options: { certified?: boolean; policy?: object } = {},
): Promise<Scene> {
  const key = (n: number): Promise<Identity> => identityFromSeed(crypto, new Uint8Array(32).fill(n));
  const operator = options.certified ? await key(2) : undefined;
  const plan = planFor(operator);
  const own = await key(OWN.seed);
  const coordinator = await hostileCoordinator({
    crypto,
    plan,
    identity: await key(1),
    operator,
    others: OTHERS,
    malice,
  });
  const certificate = await certificateFor(operator, own, plan.task);
  const events: ParticipantEvent[] = [];
  const stop = new AbortController();
  const outcome = new Promise<string>((resolve) => {
    joinFederation({
      connect: async () => coordinator.listener.connect(),
      crypto,
      identity: own,
      certificate,
      source: { kind: 'bundled', name: 'digits', split: 'train' },
      trainer: {
        engine: 'none',
        run: async (_name, input) =>
          ({
            delta: new Float32Array(modelOf((input as { plan: Plan }).plan).reportShape.dimension).fill(0.01),
            loss: -1,
            examples: 5,
            steps: 1,
          }) as never,
      },
      fingerprint: coordinator.fingerprint,
      policy: parsePolicy(options.policy ?? {}),
      retries: 0,
      signal: stop.signal,
      onEvent: (event) => {
        events.push(event);
        if (event.type === 'failed' || event.type === 'declined') resolve(event.code);
        if (event.type === 'plan') void coordinator.offer();
      },
    }).then(
      ({ ended }) => resolve(ended),
      (thrown: unknown) => resolve(thrown instanceof TacitError ? thrown.code : String(thrown)),
    );
  });
  return { coordinator, events, outcome, end: () => stop.abort() };
}

/** Somebody whom the coordinator has made up, with keys that fit. */
async function invented(crypto: CryptoProvider, offerHash: Uint8Array): Promise<Advertisement> {
  const identity = await identityFromSeed(crypto, crypto.randomBytes(32));
  const keys = {
    maskKeys: [(await crypto.x25519KeyPair()).publicKey],
    channelKey: (await crypto.x25519KeyPair()).publicKey,
  };
  const signature = await identity.sign(advertiseStatement(offerHash, keys));
  return { identity: identity.publicKey, ...keys, certificate: new Uint8Array(0), signature };
}

const byIdentity = (entries: readonly Advertisement[]): Advertisement[] =>
  [...entries].sort((a, b) => (toHex(a.identity) < toHex(b.identity) ? -1 : 1));
const without = (set: readonly number[], ...gone: readonly number[]): number[] => set.filter((v) => !gone.includes(v));
const othersOf = (set: readonly number[], victim: number): number[] => without(set, victim);

export function hostileCoordinatorContract(crypto: CryptoProvider): void {
  describe(`${crypto.name}: against a hostile coordinator a participant`, () => {
    /** Plays a scene to its outcome. @returns how it ended and what was given until then */
    async function play(
      malice: Malice,
      options?: Parameters<typeof scene>[2],
    ): Promise<{ code: string; given: string[] }> {
      const { coordinator, outcome, end } = await scene(crypto, malice, options);
      const code = await outcome;
      end();
      return { code, given: coordinator.steps() };
    }

    test.each([false, true])('gives all it should when the rules are kept (certificates: %s)', async (certified) => {
      const { coordinator, end } = await scene(crypto, {}, { certified });
      await expect.poll(() => coordinator.steps(), { timeout: 10_000 }).toEqual(ALL);
      end();
    });

    test('does not train on another model than was offered', async () => {
      const malice: Malice = {
        model: (honest) => honest.map((byte, i) => (i === honest.length - 1 ? byte ^ 1 : byte)),
      };
      expect(await play(malice)).toEqual({ code: 'wire/hash-mismatch', given: [] });
    });

    test('shares nothing with participants that were offered another model', async () => {
      const malice: Malice = { toOthers: (honest) => ({ ...honest, modelHash: new Uint8Array(32).fill(8) }) };
      expect(await play(malice)).toEqual({ code: 'auth/bad-signature', given: ['advertisement'] });
    });

    test('shares nothing where somebody was made up', async () => {
      let at: HostileCoordinator | undefined;
      const malice: Malice = {
        roster: async (honest) => byIdentity([...honest, await invented(crypto, at!.offerHash())]),
      };
      const played = await scene(crypto, malice, { certified: true, policy: { minSecureCohort: 3 } });
      at = played.coordinator;
      expect(await played.outcome).toBe('auth/certificate-required');
      expect(at.steps()).toEqual(['advertisement']);
      played.end();
    });

    test.each<[string, Malice['roster'], string]>([
      ['is too small', (honest) => honest.slice(0, 4), 'round/too-few-participants'],
      ['holds somebody twice', (honest) => [honest[0]!, ...honest], 'secagg/refused'],
      ['is not in order', (honest) => [...honest].reverse(), 'secagg/refused'],
      [
        'holds one key under two names',
        (honest) => honest.map((entry, i) => (i === 0 ? { ...entry, maskKeys: honest[1]!.maskKeys } : entry)),
        'secagg/refused',
      ],
    ])('shares nothing when the roster %s', async (_what, roster, code) => {
      // whichever part of it is sent, the participant itself is in it
      const own = (honest: readonly Advertisement[], changed: readonly Advertisement[]): readonly Advertisement[] => {
        const mine = honest.find(({ identity }) => toHex(identity) === OWN.hex)!;
        return changed.includes(mine) ? changed : byIdentity([mine, ...changed.slice(1)]);
      };
      const malice: Malice = { roster: (honest) => own(honest, roster!(honest) as readonly Advertisement[]) };
      expect(await play(malice)).toEqual({ code, given: ['advertisement'] });
    });

    test.each<[string, Malice, string, readonly string[]]>([
      [
        'masks nothing when too few have shared',
        { members: (all, victim) => [...othersOf(all, victim).slice(0, 3), victim].sort((a, b) => a - b) },
        'round/too-few-participants',
        UNTIL_WORDS,
      ],
      [
        'agrees to no survivors below the threshold',
        { survivors: (all, victim) => [[...othersOf(all, victim).slice(0, 3), victim].sort((a, b) => a - b)] },
        'round/too-few-participants',
        UNTIL_WORDS,
      ],
      [
        'agrees to no survivors without itself',
        { survivors: (all, victim) => [othersOf(all, victim)] },
        'secagg/refused',
        UNTIL_WORDS,
      ],
      [
        'unmasks nothing when the others were shown other survivors',
        { otherSurvivors: (all, victim) => without(all, othersOf(all, victim)[0]!) },
        'auth/bad-signature',
        [...UNTIL_WORDS, 'agreement'],
      ],
    ])('%s', async (_what, malice, code, given) => {
      expect(await play(malice)).toEqual({ code, given: [...given] });
    });

    test('gives one share of one secret of each participant, however often it is asked', async () => {
      const asked: number[][] = [];
      const { coordinator, end } = await scene(crypto, {
        survivors: (all, victim) => {
          const fewer = without(all, othersOf(all, victim)[0]!);
          asked.push([...all], fewer);
          return [all, fewer, all];
        },
      });
      await expect.poll(() => coordinator.steps(), { timeout: 10_000 }).toEqual(ALL);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(coordinator.steps()).toEqual(ALL);
      const { body } = coordinator.given.at(-1)!;
      // as many self shares as there are survivors, and no key share of anybody
      expect(decodeUnmasking(body, { self: OTHERS + 1, key: 0 }).selfShares).toHaveLength(asked[0]!.length);
      expect(() => decodeUnmasking(body, { self: OTHERS, key: 1 })).toThrow();
      end();
    });

    test('takes no roster of an earlier attempt', async () => {
      const { coordinator, events, end } = await scene(crypto, {
        replay: (step, honest, before) => (step === 'roster' ? (before.get('roster') ?? honest) : honest),
      });
      await expect.poll(() => coordinator.steps(), { timeout: 10_000 }).toEqual(ALL);
      await coordinator.offer();
      await expect
        .poll(() => events.some(({ type }) => type === 'failed') || coordinator.closed(), { timeout: 10_000 })
        .toBe(true);
      expect(coordinator.steps()).toEqual([...ALL, 'advertisement']);
      end();
    });

    test('contributes to one model twice at most, by whatever name it is offered', async () => {
      const { coordinator, outcome, end } = await scene(crypto, {
        offers: (honest) => [{ ...honest, modelVersion: honest.attempt }],
      });
      await expect.poll(() => coordinator.steps().length, { timeout: 10_000 }).toBe(4);
      await coordinator.offer();
      await expect.poll(() => coordinator.steps().length, { timeout: 10_000 }).toBe(8);
      await coordinator.offer();
      expect(await outcome).toBe('round/too-many-contributions');
      expect(coordinator.steps()).toHaveLength(8);
      end();
    });

    test('computes under no other plan, and so at no other scale, than the one it agreed to', async () => {
      const malice: Malice = { offers: (honest) => [{ ...honest, planHash: new Uint8Array(32).fill(9) }] };
      expect(await play(malice)).toEqual({ code: 'policy/refused', given: [] });
    });

    test('accepts no flood of offers', async () => {
      const malice: Malice = {
        offers: (honest) =>
          Array.from({ length: 9 }, (_, k) => ({
            ...honest,
            attempt: honest.attempt + k,
            nonce: crypto.randomBytes(32),
          })),
      };
      const { coordinator, outcome, end } = await scene(crypto, malice, { policy: { maxOffersPerHour: 4 } });
      expect(await outcome).toBe('policy/refused');
      expect(coordinator.sent('accept').length).toBeLessThanOrEqual(4);
      end();
    });
  });
}
