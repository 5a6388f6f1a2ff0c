/**
 * The upload desk against a model of a few lines: any order of opening, putting, committing, leaving and ending, by several
 * participants with several reports, some of which are refused. fast-check prints seed and path of a failure.
 */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { TacitError } from '../../protocol/errors.ts';
import type { ParticipantId } from '../../protocol/ids.ts';
import { createUploadDesk, type UploadDesk } from '../../protocol/upload-desk.ts';

const SIZE = 40;
const MAX_BYTES = 3 * SIZE;
const IDLE_MS = 50;
const PEOPLE = ['a', 'b', 'c', 'd', 'e'] as ParticipantId[];

/** Two offers, and three reports, the last of which is refused when it is handed on. */
const OFFERS = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
const REPORTS = [0, 1, 2].map((n) => Uint8Array.from({ length: SIZE }, (_, i) => n * 50 + i));
const REFUSED = 2;
let hashes: Uint8Array[];
beforeAll(async () => {
  hashes = await Promise.all(REPORTS.map((bytes) => nodeCrypto.sha256(bytes)));
});

interface Entry {
  report: number;
  offset: number;
  movedAt: number;
  done: boolean;
}

/** What the desk must hold, written down as plainly as possible. */
interface Model {
  readonly uploads: Map<string, Entry>;
  readonly openOffers: Set<number>;
  readonly handedOn: string[];
  now: number;
}

const heldIn = (m: Model): number => [...m.uploads.values()].filter((entry) => !entry.done).length * SIZE;
const placeOf = (person: number, offer: number): string => `${person}/${offer}`;

type Action =
  | { type: 'open'; person: number; offer: number; report: number }
  | { type: 'commit'; person: number; offer: number; report: number }
  | { type: 'put'; person: number; report: number; from: number; length: number }
  | { type: 'forget'; person: number }
  | { type: 'begin' | 'end'; offer: number }
  | { type: 'wait'; ms: number };

const person = fc.nat(PEOPLE.length - 1);
const offer = fc.nat(1);
const report = fc.nat(2);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('open' as const), person, offer, report }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('put' as const),
      person,
      report,
      from: fc.constantFrom(0, 10, 20, 30, 40),
      length: fc.constantFrom(10, 20, 40),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('commit' as const), person, offer, report }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), person }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('begin' as const, 'end' as const), offer }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(10, 60) }) },
);

/** What must come out: an offset, nothing, or a code. */
function expected(m: Model, a: Action): number | string | undefined {
  switch (a.type) {
    case 'open':
      return openIn(m, a);
    case 'put':
      return putIn(m, a);
    case 'commit':
      return commitIn(m, a);
    case 'forget':
      for (const [place, entry] of m.uploads) {
        if (place.startsWith(`${a.person}/`) && !entry.done) m.uploads.delete(place);
      }
      return undefined;
    case 'begin':
      m.openOffers.add(a.offer);
      return undefined;
    case 'end':
      m.openOffers.delete(a.offer);
      for (const place of [...m.uploads.keys()]) if (place.endsWith(`/${a.offer}`)) m.uploads.delete(place);
      return undefined;
    case 'wait':
      m.now += a.ms;
      return undefined;
  }
}

function openIn(m: Model, a: Extract<Action, { type: 'open' }>): number | string {
  if (!m.openOffers.has(a.offer)) return 'round/stale';
  const place = placeOf(a.person, a.offer);
  const found = m.uploads.get(place);
  if (found?.report === a.report) {
    found.movedAt = m.now;
    return found.offset;
  }
  if (found?.done) return 'round/duplicate';
  m.uploads.delete(place);
  const elsewhere = m.uploads.get(placeOf(a.person, 1 - a.offer));
  if (elsewhere?.report === a.report) return 'wire/unexpected';
  if (heldIn(m) + SIZE > MAX_BYTES) {
    for (const [other, entry] of [...m.uploads]) {
      if (!entry.done && entry.movedAt <= m.now - IDLE_MS) m.uploads.delete(other);
    }
  }
  if (heldIn(m) + SIZE > MAX_BYTES) return 'wire/rate-limited';
  m.uploads.set(place, { report: a.report, offset: 0, movedAt: m.now, done: false });
  return 0;
}

function putIn(m: Model, a: Extract<Action, { type: 'put' }>): number | string {
  const entry = OFFERS.map((_, o) => m.uploads.get(placeOf(a.person, o))).find((e) => e?.report === a.report);
  if (!entry || a.from > entry.offset) return 'wire/unexpected';
  if (a.from + a.length > SIZE) return 'report/malformed';
  entry.offset = Math.max(entry.offset, a.from + a.length);
  entry.movedAt = m.now;
  return entry.offset;
}

function commitIn(m: Model, a: Extract<Action, { type: 'commit' }>): string | undefined {
  const place = placeOf(a.person, a.offer);
  const entry = m.uploads.get(place);
  if (entry?.report !== a.report || entry.offset < SIZE) return 'wire/unexpected';
  if (entry.done) return undefined;
  if (a.report === REFUSED) {
    m.uploads.delete(place);
    return 'report/out-of-bounds';
  }
  entry.done = true;
  m.handedOn.push(`${place}/${a.report}`);
  return undefined;
}

/** Does the same at the desk. */
async function perform(
  desk: UploadDesk,
  a: Action,
  handedOn: string[],
  clock: { ms: number },
): Promise<number | undefined> {
  switch (a.type) {
    case 'open': {
      const announced = { offerHash: OFFERS[a.offer]!, exchange: 0, suite: 's', hash: hashes[a.report]!, bytes: SIZE };
      return desk.open(PEOPLE[a.person]!, announced);
    }
    case 'put': {
      const body = new Uint8Array(a.length);
      body.set(REPORTS[a.report]!.subarray(a.from, a.from + a.length));
      return desk.put(PEOPLE[a.person]!, { hash: hashes[a.report]!, offset: a.from }, body);
    }
    case 'commit': {
      const announced = { offerHash: OFFERS[a.offer]!, exchange: 0, hash: hashes[a.report]!, bytes: SIZE };
      await desk.commit(PEOPLE[a.person]!, announced, async (received) => {
        expect(toHex(received.bytes)).toBe(toHex(REPORTS[a.report]!));
        await null;
        if (a.report === REFUSED) throw new TacitError('report/out-of-bounds', 'refused');
        handedOn.push(`${placeOf(a.person, a.offer)}/${a.report}`);
      });
      return undefined;
    }
    case 'forget':
      return void desk.forget(PEOPLE[a.person]!);
    case 'begin':
      return void desk.begin(OFFERS[a.offer]!, 0, { s: SIZE });
    case 'end':
      return void desk.end(OFFERS[a.offer]!);
    case 'wait':
      clock.ms += a.ms;
      return undefined;
  }
}

test('the desk does what the model says, and never holds more than it may', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 60 }), async (actions) => {
      const clock = { ms: 0 };
      const desk = createUploadDesk({ crypto: nodeCrypto, maxBytes: MAX_BYTES, idleMs: IDLE_MS, now: () => clock.ms });
      const model: Model = { uploads: new Map(), openOffers: new Set([0]), handedOn: [], now: 0 };
      const handedOn: string[] = [];
      desk.begin(OFFERS[0]!, 0, { s: SIZE });
      for (const a of actions) {
        const wanted = expected(model, a);
        const outcome = await perform(desk, a, handedOn, clock).catch(
          (error: { code?: string }) => error.code ?? error,
        );
        expect(outcome, JSON.stringify(a)).toEqual(wanted);
        expect(desk.heldBytes).toBe(heldIn(model));
        expect(desk.heldBytes).toBeLessThanOrEqual(MAX_BYTES);
      }
      expect(handedOn).toEqual(model.handedOn);
    }),
    { numRuns: 700 },
  );
});

test('commits at the same time hand a report on once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 6 }),
      fc.boolean(),
      fc.scheduler(),
      async (times, refused, scheduler) => {
        const desk = createUploadDesk({ crypto: nodeCrypto, maxBytes: MAX_BYTES });
        desk.begin(OFFERS[0]!, 0, { s: SIZE });
        const announced = { offerHash: OFFERS[0]!, exchange: 0, suite: 's', hash: hashes[0]!, bytes: SIZE };
        desk.open(PEOPLE[0]!, announced);
        desk.put(PEOPLE[0]!, { hash: hashes[0]!, offset: 0 }, REPORTS[0]!);
        let handedOn = 0;
        const commits = Array.from({ length: times }, () =>
          scheduler.schedule(Promise.resolve(), 'commit').then(() =>
            desk.commit(PEOPLE[0]!, announced, async () => {
              handedOn += 1;
              await scheduler.schedule(Promise.resolve(), 'verify');
              if (refused) throw new TacitError('report/malformed', 'refused');
            }),
          ),
        );
        const outcomes = Promise.allSettled(commits);
        await scheduler.waitFor(outcomes);
        const kinds = new Set(
          (await outcomes).map((outcome) => (outcome.status === 'fulfilled' ? 'ok' : outcome.reason.code)),
        );
        expect(handedOn).toBe(1);
        // who commits after the refusal finds nothing open any more
        expect(
          [...kinds].every((kind) => (refused ? ['report/malformed', 'wire/unexpected'] : ['ok']).includes(kind)),
        ).toBe(true);
        expect(desk.heldBytes).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});
