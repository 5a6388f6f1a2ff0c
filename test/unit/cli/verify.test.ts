/** `tacit verify` and `tacit enroll` on what a real run and real keys leave behind. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCertificate } from '../../../cli/certificate-file.ts';
import type { Context } from '../../../cli/context.ts';
import { enroll } from '../../../cli/enroll.ts';
import { verify } from '../../../cli/verify.ts';
import { createRun, RUN_FILES } from '../../../learning/run-folder.ts';
import { verifyCertificate } from '../../../protocol/certificate.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { fingerprintOf } from '../../../protocol/identity.ts';
import { createIdentityFile } from '../../../protocol/node/identity-file.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../protocol/safetensors.ts';
import { memoryStore } from '../../../server/store/memory.ts';
import { SILENT } from '../../../simulations/io.ts';
import { roundWriter } from '../../../simulations/round-writer.ts';
import { harness, participants, testPlan } from '../../e2e/server-harness.ts';

let dir: string;
const at = (...names: string[]): string => join(dir, ...names);
const code = (wanted: string) => expect.objectContaining({ code: wanted });

/** A context that keeps the one result. */
function listening(): { context: Context; results: Record<string, unknown>[] } {
  const results: Record<string, unknown>[] = [];
  return {
    context: { result: (value: Record<string, unknown>) => results.push(value) } as unknown as Context,
    results,
  };
}

const plan = testPlan({ rounds: { count: 3 } });
const store = memoryStore();

/** Runs to the round after which the coordinator is stopped, and writes the folder. */
async function runInto(folder: string, stopAfter: number): Promise<Uint8Array> {
  const run = await createRun(folder, plan, { resume: true });
  const writer = roundWriter(run, SILENT, plan);
  const hall = await harness(plan, {
    store,
    onEvent: (event) => {
      writer.onEvent(event);
      if (event.type === 'committed' && event.summary.round === stopAfter - 1) void hall.coordinator.stop();
    },
  });
  const running = hall.coordinator.run();
  const people = await participants(hall, 3);
  void Promise.all(people.map((p) => p.takePart().catch(() => {})));
  const { model, modelHash } = await running;
  await hall.coordinator.stop();
  await writer.finish();
  await run.finalEncoder(model, { modelHash });
  return hall.serverKey;
}

let fingerprint: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-verify-'));
  await runInto(at('run'), 2);
  fingerprint = await fingerprintOf(nodeCrypto, await runInto(at('run'), 3));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('recomputes the chain of a run that was stopped and gone on with', async () => {
  const { context, results } = listening();
  await verify(context, { fingerprint }, at('run'));
  expect(results[0]).toMatchObject({ rounds: 3, fingerprint, models: 3, encoder: true, fewestParticipants: 3 });
  await expect(verify(context, { fingerprint: 'A'.repeat(43) }, at('run'))).rejects.toThrow(
    code('auth/wrong-fingerprint'),
  );
  await expect(verify(context, {}, at('nowhere'))).rejects.toThrow(code('run/not-found'));
});

test.each([
  ['a round that is missing', 'auth/forked-transcript', (lines: string[]) => lines.splice(1, 1)],
  ['rounds in another order', 'auth/forked-transcript', (lines: string[]) => lines.reverse()],
  [
    'another number of participants',
    'auth/bad-signature',
    (lines: string[]) => {
      lines[2] = lines[2]!.replace('"participants":3', '"participants":30');
    },
  ],
  [
    'another offer',
    'auth/forked-transcript',
    (lines: string[]) => {
      lines[0] = lines[0]!.replace('"modelVersion":0', '"modelVersion":9');
    },
  ],
  [
    'another key',
    'auth/forked-transcript',
    (lines: string[]) => {
      lines[1] = lines[1]!.replace(/"serverKey":\{"hex":"../, '"serverKey":{"hex":"00');
    },
  ],
  [
    'something else than a link',
    'wire/malformed',
    (lines: string[]) => {
      lines[1] = '{}';
    },
  ],
])('finds %s', async (_what, wanted, falsify) => {
  const path = at('run', RUN_FILES.transcript);
  const before = await readFile(path, 'utf8');
  const lines = before.trimEnd().split('\n');
  falsify(lines);
  await writeFile(path, `${lines.join('\n')}\n`);
  await expect(verify(listening().context, {}, at('run')))
    .rejects.toThrow(code(wanted))
    .finally(() => writeFile(path, before));
});

test('finds a model that is not the one that was signed, and a plan that is not the one that was offered', async () => {
  const model = at('run', RUN_FILES.checkpoints, 'round-000002.safetensors');
  const before = await readFile(model);
  const changed = Buffer.from(before);
  changed[changed.length - 1]! ^= 1;
  await writeFile(model, changed);
  await expect(verify(listening().context, {}, at('run'))).rejects.toThrow(code('wire/hash-mismatch'));
  await writeFile(model, before);
  const encoder = at('run', RUN_FILES.encoder);
  const own = await readFile(encoder);
  const tampered = Buffer.from(own);
  tampered[tampered.length - 2]! ^= 1; // a weight; the metadata still name the signed model
  await writeFile(encoder, tampered);
  await expect(verify(listening().context, {}, at('run'))).rejects.toThrow(code('wire/hash-mismatch'));
  const { arrays, metadata } = decodeSafetensors(new Uint8Array(own));
  await writeFile(encoder, encodeSafetensors(arrays, { plan: metadata.plan! }));
  await expect(verify(listening().context, {}, at('run'))).rejects.toThrow(code('wire/hash-mismatch'));
  await writeFile(encoder, own);
  await verify(listening().context, {}, at('run'));
  const planFile = at('run', RUN_FILES.plan);
  await writeFile(planFile, `${await readFile(planFile, 'utf8')} `);
  await expect(verify(listening().context, {}, at('run'))).rejects.toThrow(code('auth/forked-transcript'));
});

test('a transcript that is empty or cut is told from one that lies', async () => {
  const file = at('run', RUN_FILES.transcript);
  const whole = await readFile(file, 'utf8');
  await writeFile(file, '\n');
  await expect(verify(listening().context, {}, at('run'))).rejects.toMatchObject({
    code: 'run/not-found',
    message: expect.stringContaining('holds no round'),
  });
  await writeFile(file, whole.trim().slice(0, -7));
  await expect(verify(listening().context, {}, at('run'))).rejects.toMatchObject({
    code: 'wire/malformed',
    message: expect.stringMatching(/^line 3 is not a link/),
    hint: expect.stringContaining('last line was cut short'),
  });
  await writeFile(file, whole);
});

test('a certificate made by `enroll` holds for its key and tasks, and a file with something else is none', async () => {
  const operator = await createIdentityFile(at('operator.key'));
  const alice = await createIdentityFile(at('alice.key'));
  const { context, results } = listening();
  const options = { operator: at('operator.key'), task: ['test', 'other'], days: 2, out: at('alice.cert') };
  await enroll(context, options, alice.id);
  expect(results[0]).toMatchObject({ participant: alice.id, operatorKey: operator.id, tasks: ['test', 'other'] });
  const use = {
    operatorKey: operator.publicKey,
    identity: alice.publicKey,
    task: 'other',
    nowSeconds: Date.now() / 1000,
  };
  const bytes = await readCertificate(at('alice.cert'));
  await verifyCertificate(nodeCrypto, bytes, use);
  await expect(
    verifyCertificate(nodeCrypto, bytes, { ...use, nowSeconds: use.nowSeconds + 3 * 86_400 }),
  ).rejects.toThrow(/expired/);
  await expect(enroll(context, options, alice.id)).rejects.toThrow(code('usage/file-exists'));
  await expect(enroll(context, { ...options, out: at('b') }, 'AAAA')).rejects.toThrow(code('auth/bad-key'));
  await expect(readCertificate(at('alice.key'))).rejects.toThrow(code('auth/certificate-invalid'));
});
