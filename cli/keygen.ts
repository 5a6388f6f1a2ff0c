/** What `tacit keygen` does: a new identity file, from the operating system's randomness or, for experiments, from a number. */
import { utf8 } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { fingerprintOf, type Identity } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';
import { createIdentityFile } from '../protocol/node/identity-file.ts';

/** @throws TacitError usage/file-exists, run/store */
export async function keygen(out: string, seed?: number): Promise<{ identity: Identity; fingerprint: Fingerprint }> {
  const bytes =
    seed === undefined ? undefined : await nodeCrypto.sha256(utf8(JSON.stringify(['tacit identity', seed, 'keygen'])));
  const identity = await createIdentityFile(out, bytes);
  return { identity, fingerprint: await fingerprintOf(nodeCrypto, identity.publicKey) };
}
