/**
 * The coordinator's long-lived key in a file that only its owner can read, made on first use; the format is that of
 * `tacit keygen`. Participants pin its fingerprint, so it must outlive the process.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromBase64Url, toBase64Url } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { asTacitError, TacitError } from '../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';

const KIND = 'tacit identity';

async function seedOf(path: string, text: string): Promise<Uint8Array> {
  try {
    const { kind, seed } = JSON.parse(text) as { kind?: unknown; seed?: unknown };
    const bytes = kind === KIND && typeof seed === 'string' ? fromBase64Url(seed) : undefined;
    if (bytes?.length === 32) return bytes;
    throw new TypeError('no 32-byte seed');
  } catch (cause) {
    throw new TacitError('auth/bad-key', `${path} is not an identity file: ${asTacitError(cause).message}`, {
      where: path,
      hint: 'Make one with `tacit keygen --out FILE`.',
      cause,
    });
  }
}

async function writeNew(path: string): Promise<Identity> {
  const seed = nodeCrypto.randomBytes(32);
  const identity = await identityFromSeed(nodeCrypto, seed);
  const fingerprint = await fingerprintOf(nodeCrypto, identity.publicKey);
  const content = { kind: KIND, version: 1, seed: toBase64Url(seed), publicKey: identity.id, fingerprint };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return identity;
}

/** Opens the identity in a file, or makes one. @throws TacitError auth/bad-key, run/store */
export async function openServerIdentity(path: string): Promise<Identity> {
  try {
    return await writeNew(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new TacitError('run/store', `the key cannot be kept in ${path}`, { where: path, cause: thrown });
    }
  }
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TacitError('run/store', `the key in ${path} cannot be read`, { where: path, cause });
  });
  return identityFromSeed(nodeCrypto, await seedOf(path, text));
}
