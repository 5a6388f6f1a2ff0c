/**
 * This browser's identity, made on first use and kept in IndexedDB: an Ed25519 key pair that the browser itself keeps from us
 * (not extractable) where it can, else a stored seed.
 */
import { webCrypto } from '../../protocol/crypto/web.ts';
import { type Identity, identityFromSeed, participantId } from '../../protocol/identity.ts';
import { keepKey, readKey } from './database.ts';

const NAME = 'identity';

const isPair = (value: unknown): value is CryptoKeyPair =>
  typeof value === 'object' && value !== null && 'privateKey' in value && 'publicKey' in value;

/** A new key: a pair that cannot be exported, or 32 bytes where the browser has no Ed25519. */
async function newKey(): Promise<unknown> {
  try {
    return await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
  } catch {
    return webCrypto.randomBytes(32);
  }
}

async function fromPair({ privateKey, publicKey }: CryptoKeyPair): Promise<Identity> {
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', publicKey));
  return {
    publicKey: raw,
    id: participantId(raw),
    sign: async (statement) =>
      new Uint8Array(await crypto.subtle.sign('Ed25519', privateKey, statement as Uint8Array<ArrayBuffer>)),
  };
}

/** The identity of this browser for this page's origin. @throws TacitError run/store when the browser keeps nothing */
export async function browserIdentity(): Promise<Identity> {
  const key = (await readKey(NAME)) ?? (await keepKey(NAME, await newKey()));
  return isPair(key) ? fromPair(key) : identityFromSeed(webCrypto, key as Uint8Array);
}
