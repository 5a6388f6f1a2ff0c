/**
 * Identity files: an Ed25519 seed with its public key and fingerprint as JSON, readable by its owner only. One format for
 * coordinators, participants and operators; the fingerprint is what people compare. Node only.
 */
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromBase64Url, toBase64Url } from '../bytes.ts';
import { nodeCrypto } from '../crypto/node.ts';
import { TacitError } from '../errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../identity.ts';

const KIND = 'tacit identity';

const codeOf = (thrown: unknown): string | undefined => (thrown as { code?: string }).code;

const unusable = (path: string, cause: unknown): TacitError =>
  new TacitError('run/store', `the identity file ${path} cannot be used (${codeOf(cause) ?? cause})`, {
    where: path,
    hint: 'Name a file in a folder that can be written; `tacit keygen --out FILE` makes one.',
    cause,
  });

/**
 * Makes an identity and writes it to a new file with mode 0600, whole before it has its name.
 * @param seed 32 bytes; default: from the operating system
 * @throws TacitError usage/file-exists (a key is never overwritten), run/store
 */
export async function createIdentityFile(
  path: string,
  seed: Uint8Array = nodeCrypto.randomBytes(32),
): Promise<Identity> {
  const identity = await identityFromSeed(nodeCrypto, seed);
  const content = {
    kind: KIND,
    version: 1,
    seed: toBase64Url(seed),
    publicKey: identity.id,
    fingerprint: await fingerprintOf(nodeCrypto, identity.publicKey),
  };
  const beside = `${path}.${toBase64Url(nodeCrypto.randomBytes(9))}.new`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(beside, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await link(beside, path); // unlike a rename, never replaces what is there
    return identity;
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw unusable(path, thrown);
    throw new TacitError('usage/file-exists', `${path} exists already; a key is never overwritten`, {
      where: path,
      hint: 'Name a file that does not exist yet.',
      cause: thrown,
    });
  } finally {
    await rm(beside, { force: true });
  }
}

async function seedIn(path: string, text: string): Promise<Uint8Array> {
  try {
    const { kind, seed } = JSON.parse(text) as { kind?: unknown; seed?: unknown };
    if (kind !== KIND || typeof seed !== 'string') throw new Error(`its "kind" is not "${KIND}"`);
    const bytes = fromBase64Url(seed);
    if (bytes.length !== 32) throw new Error('its seed is not 32 bytes');
    return bytes;
  } catch (cause) {
    throw new TacitError('auth/bad-key', `${path} is not an identity file: ${(cause as Error).message}`, {
      where: path,
      hint: 'Make one with `tacit keygen --out FILE`.',
      cause,
    });
  }
}

/** The identity in an existing file. @throws TacitError auth/bad-key (also when others can read the file), run/store */
export async function readIdentityFile(path: string): Promise<Identity> {
  const text = await readFile(path, 'utf8').catch((thrown: unknown) => {
    throw unusable(path, thrown);
  });
  if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) {
    throw new TacitError('auth/bad-key', `other users of this machine can read ${path}`, {
      where: path,
      hint: `Run \`chmod 600 ${path}\` if nobody has read it, or remove it to get a new identity.`,
    });
  }
  return identityFromSeed(nodeCrypto, await seedIn(path, text));
}

/** The identity in the file at `path`, which is made if it does not exist. @throws TacitError auth/bad-key, run/store */
export async function openIdentityFile(path: string): Promise<Identity> {
  const exists = await stat(path).then(
    () => true,
    (thrown: unknown) => {
      if (codeOf(thrown) === 'ENOENT') return false;
      throw unusable(path, thrown);
    },
  );
  if (exists) return readIdentityFile(path);
  try {
    return await createIdentityFile(path);
  } catch (thrown) {
    if (codeOf(thrown) === 'usage/file-exists') return readIdentityFile(path); // another process made it in between
    throw thrown;
  }
}
