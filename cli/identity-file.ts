/**
 * Identity files: an Ed25519 seed with its public key and fingerprint as JSON, readable by its owner only. One format for
 * coordinators, participants and operators; the fingerprint is what people compare.
 */
import { open, readFile, stat } from 'node:fs/promises';
import { fromBase64Url, toBase64Url, utf8 } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';

const KIND = 'tacit identity';

export interface NamedIdentity {
  readonly identity: Identity;
  readonly fingerprint: Fingerprint;
}

async function withFingerprint(seed: Uint8Array): Promise<NamedIdentity> {
  const identity = await identityFromSeed(nodeCrypto, seed);
  return { identity, fingerprint: await fingerprintOf(nodeCrypto, identity.publicKey) };
}

/** A new identity from the operating system's randomness, kept nowhere. */
export const freshIdentity = (): Promise<NamedIdentity> => withFingerprint(nodeCrypto.randomBytes(32));

/** The identity that a number determines: for repeatable experiments only, since anyone can compute it. */
export const seededIdentity = async (seed: number | string, purpose: string): Promise<NamedIdentity> =>
  withFingerprint(await nodeCrypto.sha256(utf8(JSON.stringify([KIND, seed, purpose]))));

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(text).finally(() => file.close());
  } catch (thrown) {
    const exists = (thrown as NodeJS.ErrnoException).code === 'EEXIST';
    throw new TacitError(
      exists ? 'usage/unknown-flag' : 'run/store',
      exists ? `${path} exists already; a key is never overwritten.` : `Cannot write ${path} (${thrown}).`,
      {
        where: `--out ${path}`,
        hint: 'Name a file that does not exist yet, in a folder that can be written.',
        cause: thrown,
      },
    );
  }
}

/** Makes an identity and writes it to a new file with mode 0600; with `seed` the one that this number determines. */
export async function createIdentityFile(path: string, seed?: number): Promise<NamedIdentity> {
  const bytes =
    seed === undefined
      ? nodeCrypto.randomBytes(32)
      : await nodeCrypto.sha256(utf8(JSON.stringify([KIND, seed, 'keygen'])));
  const named = await withFingerprint(bytes);
  const { identity, fingerprint } = named;
  const content = {
    kind: KIND,
    version: 1,
    seed: toBase64Url(bytes),
    publicKey: toBase64Url(identity.publicKey),
    fingerprint,
  };
  await writeNew(path, `${JSON.stringify(content, null, 2)}\n`);
  return named;
}

/** Reads an identity file. @throws TacitError auth/bad-key, run/store */
export async function readIdentityFile(path: string, warn: (text: string) => void): Promise<NamedIdentity> {
  const text = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    const hint = 'Make one with `tacit keygen --out FILE`.';
    throw new TacitError('run/store', `Cannot read the identity file ${path} (${thrown.code}).`, { where: path, hint });
  });
  const { mode } = await stat(path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    warn(`warning: other users of this machine can read ${path}; run \`chmod 600 ${path}\``);
  }
  try {
    const { kind, seed } = JSON.parse(text) as { kind?: unknown; seed?: unknown };
    if (kind !== KIND || typeof seed !== 'string') throw new Error(`its "kind" is not "${KIND}"`);
    const bytes = fromBase64Url(seed);
    if (bytes.length !== 32) throw new Error('its seed is not 32 bytes');
    return await withFingerprint(bytes);
  } catch (thrown) {
    throw new TacitError(
      'auth/bad-key',
      `${path} is not an identity file: ${thrown instanceof Error ? thrown.message : thrown}.`,
      {
        where: path,
        hint: 'Make one with `tacit keygen --out FILE`.',
        cause: thrown,
      },
    );
  }
}
