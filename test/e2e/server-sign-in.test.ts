/** The first words on a connection: who is let in, and what everybody else is told before the connection ends. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toBase64Url, toHex } from '../../protocol/bytes.ts';
import { issueCertificate } from '../../protocol/certificate.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { authStatement, planStatement, verifyStatement } from '../../protocol/identity.ts';
import { participantPeer } from '../../protocol/peer.ts';
import { LIMITS } from '../../protocol/transport.ts';
import {
  FakeParticipant,
  type Harness,
  harness,
  identityOf,
  type ManualClock,
  manualClock,
  participants,
  rest,
  testPlan,
} from './server-harness.ts';

let at: Harness;
let clock: ManualClock;
let person: FakeParticipant;

const start = async (plan = testPlan(), options: Parameters<typeof harness>[1] = {}): Promise<void> => {
  clock = manualClock();
  at = await harness(plan, { clock, nowSeconds: () => 1000, ...options });
  at.coordinator.run().catch(() => {});
  [person] = (await participants(at, 1)) as [FakeParticipant];
};
beforeEach(() => start());
afterEach(() => at.coordinator.stop());

/** The connection is ended by the coordinator, and it says so in its log of events. */
const expectDropped = async (code: string): Promise<void> => {
  await rest();
  expect(person.closed).toBeDefined();
  expect(at.events).toContainEqual({ type: 'dropped', remote: expect.any(String), code });
};

test('the plan that joining names is the one that is signed and sent', async () => {
  const joined = await person.signIn();
  await verifyStatement(nodeCrypto, at.serverKey, planStatement('test', joined.planHash), joined.planSignature);
  const bytes = await person.pull({ name: 'plan', hash: joined.planHash, bytes: joined.planBytes });
  expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual(JSON.parse(JSON.stringify(at.plan)));
  expect(at.coordinator.info()).toMatchObject({
    task: 'test',
    planHash: toHex(joined.planHash),
    round: 0,
    finished: false,
  });
});

describe('versions', () => {
  test('one that is spoken here is chosen among several', async () => {
    expect((await person.hello([9, 1, 4])).version).toBe(1);
  });

  test('none in common is answered with those that are, and then the connection ends', async () => {
    await expect(person.hello([2, 7])).rejects.toMatchObject({
      code: 'wire/unsupported-version',
      hint: expect.stringContaining('1'),
    });
    await expectDropped('wire/unsupported-version');
  });
});

describe('who proves nothing is not let in', () => {
  test('a signature of another key', async () => {
    const handshake = await person.hello();
    const other = await identityOf('somebody else');
    const identity = person.identity.publicKey;
    const signature = await other.sign(authStatement(handshake, identity));
    const identify = person.peer.request({ type: 'identify', identity, signature, certificate: new Uint8Array(0) });
    await expect(identify).rejects.toMatchObject({ code: 'auth/bad-signature' });
    await expectDropped('auth/bad-signature');
  });

  test('a signature of an earlier sign-in', async () => {
    const identity = person.identity.publicKey;
    const signature = await person.identity.sign(authStatement(await person.hello(), identity));
    [person] = (await participants(at, 1)) as [FakeParticipant];
    await person.hello();
    const replay = person.peer.request({ type: 'identify', identity, signature, certificate: new Uint8Array(0) });
    await expect(replay).rejects.toMatchObject({ code: 'auth/bad-signature' });
  });

  test('a key of small order, for which any signature verifies', async () => {
    const handshake = await person.hello();
    const identity = new Uint8Array(32);
    identity[0] = 1;
    const signature = new Uint8Array(64);
    signature[0] = 1;
    expect(handshake.version).toBe(1);
    const identify = person.peer.request({ type: 'identify', identity, signature, certificate: new Uint8Array(0) });
    await expect(identify).rejects.toMatchObject({ code: expect.stringMatching(/^auth\/(bad-signature|bad-key)$/) });
  });

  test('another task', async () => {
    await person.identify(await person.hello());
    await expect(person.peer.request({ type: 'join', task: 'other' })).rejects.toMatchObject({
      code: 'wire/unexpected',
    });
    await expectDropped('wire/unexpected');
  });

  test('no suite in common', async () => {
    const peer = participantPeer(at.listener.connect());
    const capabilities = { suites: ['rot13'], engine: 'none', platform: 'other' as const };
    const nonce = nodeCrypto.randomBytes(32);
    const { message } = await peer.request({ type: 'hello', versions: [1], nonce, software: '', capabilities });
    const { version, serverKey, nonce: serverNonce, task } = message;
    const handshake = { versions: [1], version, clientNonce: nonce, serverNonce, serverKey, task };
    const identity = person.identity.publicKey;
    const signature = await person.identity.sign(authStatement(handshake, identity));
    const identify = peer.request({ type: 'identify', identity, signature, certificate: new Uint8Array(0) });
    await expect(identify).rejects.toMatchObject({ code: 'wire/no-common-suite' });
  });
});

describe('the order of sign-in', () => {
  const early: [string, () => Promise<unknown>][] = [
    [
      'identify before hello',
      async () => person.identify({ ...(await participants(at, 1, 'other').then(([p]) => p!.hello())) }),
    ],
    ['join before identify', async () => person.hello().then(() => person.join())],
    ['hello twice', async () => person.hello().then(() => person.hello())],
    ['hello after joining', async () => person.signIn().then(() => person.hello())],
  ];
  for (const [what, act] of early) {
    test(`${what} is refused`, async () => {
      await expect(act()).rejects.toMatchObject({ code: 'wire/unexpected' });
    });
  }

  test('requests of rounds before joining are refused, and end the connection', async () => {
    await person.identify(await person.hello());
    const accept = person.peer.request({ type: 'accept', offerHash: new Uint8Array(32) });
    await expect(accept).rejects.toMatchObject({ code: 'auth/not-identified' });
    await expectDropped('auth/not-identified');
  });

  test('who does not join in time is dropped', async () => {
    await person.hello();
    await clock.advance(19_999);
    expect(person.closed).toBeUndefined();
    await clock.advance(1);
    await expectDropped('net/timeout');
  });

  test('who has joined is not', async () => {
    await person.signIn();
    await clock.advance(60_000);
    expect(person.closed).toBeUndefined();
  });

  test('more than a little before sign-in ends the connection', async () => {
    const noise = new Uint8Array(LIMITS.bytesBeforeSignIn / 2);
    noise.set([1, 0, 0, 0]);
    for (let i = 0; i < 3; i++) await person.connection.send(noise).catch(() => {});
    await rest();
    expect(person.closed).toBeDefined();
  });
});

/** Seconds for which a certificate must hold: those of recruiting and training in the plan. */
const MARGIN = 60 + 600;

describe('certificates, where the plan requires them', () => {
  let issue: (changes?: { identity?: Uint8Array; tasks?: string[]; notAfter?: number }) => Promise<Uint8Array>;
  beforeEach(async () => {
    await at.coordinator.stop();
    const operator = await identityOf('operator');
    await start(testPlan({ admission: { certificates: 'required', operatorKey: toBase64Url(operator.publicKey) } }));
    issue = (changes = {}) =>
      issueCertificate((statement) => operator.sign(statement), {
        identity: person.identity.publicKey,
        tasks: ['test'],
        notAfter: 1000 + MARGIN,
        nonce: new Uint8Array(32),
        ...changes,
      });
  });

  test('let in whom the operator has signed for', async () => {
    await person.signIn(await issue());
    expect(at.coordinator.status.participants).toBe(1);
  });

  test('are missed where there is none', async () => {
    await expect(person.signIn()).rejects.toMatchObject({ code: 'auth/certificate-required' });
    await expectDropped('auth/certificate-required');
  });

  const invalid: [string, () => Promise<Uint8Array>][] = [
    ['expired', () => issue({ notAfter: 999 })],
    ['about to expire before a round could be over', () => issue({ notAfter: 1000 + MARGIN - 1 })],
    ['for another task', () => issue({ tasks: ['other'] })],
    ['for another participant', async () => issue({ identity: (await identityOf('other')).publicKey })],
    [
      'by another operator',
      async () => {
        const other = await identityOf('other operator');
        const certificate = {
          identity: person.identity.publicKey,
          tasks: ['test'],
          notAfter: 1000 + MARGIN,
          nonce: new Uint8Array(32),
        };
        return issueCertificate((statement) => other.sign(statement), certificate);
      },
    ],
    ['noise', async () => nodeCrypto.randomBytes(200)],
  ];
  for (const [what, make] of invalid) {
    test(`do not count when they are ${what}`, async () => {
      await expect(person.signIn(await make())).rejects.toMatchObject({ code: 'auth/certificate-invalid' });
    });
  }

  test('without the key of an operator are refused before anything starts', async () => {
    const broken = await harness({ ...testPlan(), admission: { certificates: 'required' } });
    await expect(broken.coordinator.run()).rejects.toMatchObject({
      code: 'plan/refused',
      where: 'admission.operatorKey',
    });
  });
});

describe('a coordinator', () => {
  test('that holds all the participants it can tells the next when to come back, and still takes those it knows', async () => {
    await at.coordinator.stop();
    await start(testPlan(), { maxParticipants: 2 });
    const [a, b, c] = (await participants(at, 3)) as [FakeParticipant, FakeParticipant, FakeParticipant];
    await a.signIn();
    await b.signIn();
    await expect(c.signIn()).rejects.toMatchObject({ code: 'wire/rate-limited', retryAfterMs: expect.any(Number) });
    const again = new FakeParticipant(at.listener.connect(), a.identity, at);
    await again.signIn();
    expect(at.coordinator.status.participants).toBe(2);
  });

  test('says goodbye to who does', async () => {
    await person.signIn();
    await person.peer.request({ type: 'bye' });
    await rest();
    expect(person.closed).toBeDefined();
    expect(at.events).toContainEqual(expect.objectContaining({ type: 'left', participants: 0 }));
  });
});
