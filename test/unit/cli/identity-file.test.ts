import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIdentityFile } from '../../../cli/identity-file.ts';
import { openIdentityFile } from '../../../client/node/identity-file.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { fingerprintOf } from '../../../protocol/identity.ts';

let dir: string;
const at = (name: string): string => join(dir, name);
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tacit-key-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('what keygen writes, participants and coordinators read', async () => {
  const made = await createIdentityFile(at('a.key'));
  const read = await openIdentityFile(at('a.key'));
  expect(read.id).toBe(made.identity.id);
  expect(made.fingerprint).toBe(await fingerprintOf(nodeCrypto, read.publicKey));
  expect(statSync(at('a.key')).mode & 0o777).toBe(0o600);
  const statement = new Uint8Array([1, 2, 3]);
  expect(await nodeCrypto.ed25519Verify(made.identity.publicKey, statement, await read.sign(statement))).toBe(true);
});

test('a seed determines the key; without one every key is new', async () => {
  const keys = [];
  for (const [i, seed] of [1, 1, 2, undefined, undefined].entries()) {
    keys.push((await createIdentityFile(at(`${i}.key`), seed)).fingerprint);
  }
  expect(keys[0]).toBe(keys[1]);
  expect(new Set(keys).size).toBe(4);
});

test('an existing file is kept, and a folder that is missing is said to be', async () => {
  writeFileSync(at('kept'), 'precious');
  await expect(createIdentityFile(at('kept'))).rejects.toMatchObject({ code: 'usage/unknown-flag' });
  await expect(createIdentityFile(join(dir, 'no', 'where'))).rejects.toMatchObject({ code: 'run/store' });
});
