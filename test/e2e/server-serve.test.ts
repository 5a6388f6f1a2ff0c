/** The whole server over real sockets: HTTP, WebSockets, LMDB, the key, metrics and logs. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectSocket } from '../../client/node/connect.ts';
import { serve, type TacitServer } from '../../server/index.ts';
import { FakeParticipant, identityOf, testPlan } from './server-harness.ts';

let dir: string;
let server: TacitServer | undefined;
const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
const log = {
  info: (fields: object, message: string) => void lines.push({ level: 'info', fields: { ...fields }, message }),
  warn: (fields: object, message: string) => void lines.push({ level: 'warn', fields: { ...fields }, message }),
  debug: (fields: object, message: string) => void lines.push({ level: 'debug', fields: { ...fields }, message }),
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-serve-'));
  lines.length = 0;
});
afterEach(async () => {
  await server?.stop({ lingerMs: 0 });
  server = undefined;
  await rm(dir, { recursive: true, force: true });
});

const serverKeyOf = async (from: TacitServer): Promise<Uint8Array> => {
  const connection = await connectSocket(from.url);
  const probe = new FakeParticipant(connection, await identityOf('probe'), {
    plan: testPlan(),
    serverKey: new Uint8Array(32),
  });
  const nonce = new Uint8Array(32);
  const capabilities = { suites: ['nacl-box'], engine: 'none', platform: 'node' as const };
  const { message } = await probe.peer.request({ type: 'hello', versions: [1], nonce, software: '', capabilities });
  connection.close();
  return message.serverKey;
};

const join3 = async (to: TacitServer, plan = testPlan()): Promise<FakeParticipant[]> => {
  const serverKey = await serverKeyOf(to);
  return Promise.all(
    [0, 1, 2].map(async (i) => {
      const connection = await connectSocket(to.url);
      return new FakeParticipant(connection, await identityOf(`participant-${i}`), { plan, serverKey });
    }),
  );
};

test('a coordinator in a few lines: participants join over sockets, rounds are committed, everything can be looked at', async () => {
  const plan = testPlan();
  server = await serve({ plan, port: 0, dataDir: dir, log, waitFor: 3, joinPage: false });
  expect(server.joinUrl).toBe(`${server.url}/#srv=${server.fingerprint}`);
  const run = server.run();
  const people = await join3(server);
  await Promise.all(people.map((p) => p.takePart()));
  const result = await run;
  expect(result).toMatchObject({ finished: true, rounds: 2 });

  const info = (await (await fetch(`${server.url}/federation.json`)).json()) as Record<string, unknown>;
  expect(info).toMatchObject({ task: 'test', fingerprint: server.fingerprint, round: 2, finished: true });
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({
    status: 'ok',
    phase: 'finished',
    round: 2,
  });
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/^tacit_rounds_committed_total 2$/m);
  expect(metrics).toMatch(/^tacit_reports_total 6$/m);
  expect(metrics).toMatch(/^tacit_traffic_bytes\{direction="up"\} [1-9]/m);

  const logged = JSON.stringify(lines);
  expect(lines.filter((l) => l.message === 'committed')).toHaveLength(2);
  for (const person of people) expect(logged).not.toContain(person.identity.id);
  expect(lines.find((l) => l.message === 'joined')!.fields.participant).toMatch(/^[0-9a-f]{8}$/);
  // The longest thing in a log line is a hash: no parameter, report or model.
  expect(Math.max(...lines.map((l) => JSON.stringify(l).length))).toBeLessThan(700);
});

test('a server that is started again on its folder has the same key and goes on where it was', async () => {
  const plan = testPlan({ rounds: { count: 2, trainMs: 60_000 } });
  server = await serve({ plan, port: 0, dataDir: dir, waitFor: 3, joinPage: false });
  const { fingerprint } = server;
  const first = server.run();
  const people = await join3(server, plan);
  await Promise.all(people.map((p) => p.signIn()));
  await Promise.all(people.map(async (p) => p.report(await p.offer())));
  await people[0]!.next('committed');
  await server.stop();
  expect(await first).toMatchObject({ finished: false, rounds: 1 });
  expect((await stat(join(dir, 'identity.json'))).mode & 0o077).toBe(0);

  server = await serve({ plan, port: 0, dataDir: dir, waitFor: 3, joinPage: false });
  expect(server.fingerprint).toBe(fingerprint);
  const second = server.run();
  const again = await join3(server, plan);
  await Promise.all(again.map((p) => p.takePart()));
  expect(await second).toMatchObject({ finished: true, rounds: 2 });
});

test('what cannot be served is refused before anything is opened', async () => {
  await expect(serve({ plan: { ...testPlan(), encoder: { name: 'nothing' } }, port: 0 })).rejects.toMatchObject({
    code: 'plan/unknown-name',
  });
  await expect(serve({ plan: testPlan(), port: 0, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'net/insecure' });
  server = await serve({ plan: testPlan(), port: 0, joinPage: false });
  const taken = serve({ plan: testPlan(), port: server.port, dataDir: dir, joinPage: false });
  await expect(taken).rejects.toMatchObject({ code: 'net/port-in-use' });
});
