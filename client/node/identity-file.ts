/**
 * A participant's identity in Node: an Ed25519 seed in a file that only its owner can read, made on first use. The format is
 * that of `tacit keygen`.
 */
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromBase64Url, toBase64Url } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { TacitError } from '../../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../../protocol/identity.ts';

const KIND = 'tacit identity';

const codeOf = (thrown: unknown): string | undefined => (thrown as { code?: string }).code;

/** The identity in the file at `path`, which is made if it does not exist. @throws TacitError auth/bad-key, run/store */
export async function openIdentityFile(path: string): Promise<Identity> {
  const text = await readFile(path, 'utf8').catch((thrown: unknown) => {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw unusable(path, thrown);
  });
  if (text !== undefined) return readIdentity(path, text);
  try {
    return await createIdentity(path);
  } catch (thrown) {
    // another process made it in between
    if (codeOf(thrown) === 'EEXIST') return readIdentity(path, await readFile(path, 'utf8'));
    throw unusable(path, thrown);
  }
}

const unusable = (path: string, cause: unknown): TacitError =>
  new TacitError('run/store', `the identity file ${path} cannot be used (${codeOf(cause) ?? cause})`, {
    where: path,
    cause,
  });

async function createIdentity(path: string): Promise<Identity> {
  const seed = nodeCrypto.randomBytes(32);
  const identity = await identityFromSeed(nodeCrypto, seed);
  const content = {
    kind: KIND,
    version: 1,
    seed: toBase64Url(seed),
    publicKey: identity.id,
    fingerprint: await fingerprintOf(nodeCrypto, identity.publicKey),
  };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // complete before it has its name, so that nobody reads half of it; `link` never replaces
  const beside = `${path}.${identity.id}.new`;
  try {
    await writeFile(beside, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await link(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
  return identity;
}

async function readIdentity(path: string, text: string): Promise<Identity> {
  if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) {
    throw new TacitError('auth/bad-key', `other users of this machine can read ${path}`, {
      where: path,
      hint: `Run \`chmod 600 ${path}\` if nobody has read it, or remove it to get a new identity.`,
    });
  }
  try {
    const { kind, seed } = JSON.parse(text) as { kind?: unknown; seed?: unknown };
    if (kind !== KIND || typeof seed !== 'string') throw new Error(`its "kind" is not "${KIND}"`);
    const bytes = fromBase64Url(seed);
    if (bytes.length !== 32) throw new Error('its seed is not 32 bytes');
    return await identityFromSeed(nodeCrypto, bytes);
  } catch (cause) {
    throw new TacitError('auth/bad-key', `${path} is not an identity file: ${(cause as Error).message}`, {
      where: path,
      hint: 'Make one with `tacit keygen --out FILE`.',
      cause,
    });
  }
}
