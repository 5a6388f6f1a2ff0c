/** A coordinator that is killed with -9 in the middle of a round, over real sockets and a real store. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connectSocket } from '../../client/node/connect.ts';
import { fromBase64Url, toHex } from '../../protocol/bytes.ts';
import { type Bundle, bundle, type Child, runChild } from './server-child.ts';
import { FakeParticipant, identityOf, killPlan } from './server-harness.ts';

let child: Bundle;
let dir: string;
const running: Child[] = [];
beforeAll(async () => {
  child = await bundle('test/e2e/server-children/serve.ts');
});
afterAll(() => child.remove());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-kill-'));
});
afterEach(async () => {
  for (const { process, exit } of running.splice(0)) {
    process.kill('SIGKILL');
    await exit;
  }
  await rm(dir, { recursive: true, force: true });
});

/** Starts the coordinator on the folder, and joins three participants. */
async function start() {
  const coordinator = runChild(child.file, [dir]);
  running.push(coordinator);
  const lines = coordinator.lines[Symbol.asyncIterator]();
  const { value: url } = (await lines.next()) as { value: string };
  const { publicKey } = JSON.parse(await readFile(join(dir, 'identity.json'), 'utf8')) as { publicKey: string };
  const at = { plan: killPlan, serverKey: fromBase64Url(publicKey) };
  const people = await Promise.all(
    [0, 1, 2].map(async (i) => new FakeParticipant(await connectSocket(url), await identityOf(`participant-${i}`), at)),
  );
  await Promise.all(people.map((p) => p.signIn()));
  const next = () => Promise.all(people.map((p) => p.offer()));
  const lastLine = async () => ((await lines.next()) as { value: string }).value;
  return { ...coordinator, people: people as [FakeParticipant, FakeParticipant, FakeParticipant], next, lastLine };
}

test('goes on with the round that was not committed, and comes to the model it would have come to', async () => {
  const whole = await start();
  for (let round = 0; round < 3; round++) {
    const [offered] = await whole.next();
    await Promise.all(whole.people.map((p) => p.report(offered!)));
  }
  const uninterrupted = await whole.lastLine();
  expect(uninterrupted).toMatch(/^3 [0-9a-f]{64}$/);
  for (const { connection } of whole.people) connection.close();
  expect((await whole.exit).stderr).toBe('');

  await rm(dir, { recursive: true });
  const first = await start();
  const [offered] = await first.next();
  await Promise.all(first.people.map((p) => p.report(offered!)));
  const { commit } = await first.people[0].next('committed');
  const [second] = await first.next();
  await first.people[0].report(second!);
  first.process.kill('SIGKILL');
  expect(await first.exit).toMatchObject({ signal: 'SIGKILL', stderr: '' });

  const again = await start();
  const [resumed] = await again.next();
  expect(resumed!.offer).toMatchObject({ round: 1, attempt: 1 });
  expect(toHex(resumed!.offer.modelHash)).toBe(toHex(commit.modelHash));
  expect(toHex(resumed!.offerHash)).not.toBe(toHex(second!.offerHash));
  await Promise.all(again.people.map((p) => p.report(resumed!)));
  const [third] = await again.next();
  await Promise.all(again.people.map((p) => p.report(third!)));
  expect(await again.lastLine()).toBe(uninterrupted);
});
