/**
 * Makes identity files: an Ed25519 seed with its public key and fingerprint as JSON, readable by its owner only. One format for
 * coordinators, participants and operators; client/node/identity-file.ts reads it.
 */
import { open } from 'node:fs/promises';
import { toBase64Url, utf8 } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';

const KIND = 'tacit identity';

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(text).finally(() => file.close());
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new TacitError('usage/unknown-flag', `${path} exists already; a key is never overwritten.`, {
        where: `--out ${path}`,
        hint: 'Name a file that does not exist yet.',
        cause: thrown,
      });
    }
    throw new TacitError('run/store', `Cannot write ${path} (${code}).`, {
      where: `--out ${path}`,
      hint: 'Name a file in a folder that exists and can be written.',
      cause: thrown,
    });
  }
}

/**
 * Makes an identity and writes it to a new file with mode 0600; with `seed` the one that this number determines.
 * @throws TacitError usage/unknown-flag if the file exists, run/store if it cannot be written
 */
export async function createIdentityFile(
  path: string,
  seed?: number,
): Promise<{ readonly identity: Identity; readonly fingerprint: Fingerprint }> {
  const bytes =
    seed === undefined ? nodeCrypto.randomBytes(32) : await nodeCrypto.sha256(utf8(JSON.stringify([KIND, seed])));
  const identity = await identityFromSeed(nodeCrypto, bytes);
  const fingerprint = await fingerprintOf(nodeCrypto, identity.publicKey);
  const content = { kind: KIND, version: 1, seed: toBase64Url(bytes), publicKey: identity.id, fingerprint };
  await writeNew(path, `${JSON.stringify(content, null, 2)}\n`);
  return { identity, fingerprint };
}
