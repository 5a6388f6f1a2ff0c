/** The provider of Node: node:crypto throughout. Imported by Node entries only. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdf,
  type KeyObject,
  randomFillSync,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { concat, fromHex } from '../bytes.ts';
import { TacitError } from '../errors.ts';
import { checkShared, isCanonicalSignature, isUsableEd25519Key } from './curves.ts';
import type { CryptoProvider, KeyPair } from './provider.ts';

const TAG_BYTES = 16;

/** DER around a raw 32-byte key: PKCS #8 and SubjectPublicKeyInfo of RFC 8410. */
const DER = {
  x25519: { secret: fromHex('302e020100300506032b656e04220420'), public: fromHex('302a300506032b656e032100') },
  ed25519: { secret: fromHex('302e020100300506032b657004220420'), public: fromHex('302a300506032b6570032100') },
} as const;
type Curve = keyof typeof DER;

const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

function key32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 32) throw new TacitError('auth/bad-key', `a key of ${bytes.length} bytes`);
  return bytes;
}

const secretOf = (curve: Curve, raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concat(DER[curve].secret, key32(raw))), format: 'der', type: 'pkcs8' });

const publicOf = (curve: Curve, raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(concat(DER[curve].public, key32(raw))), format: 'der', type: 'spki' });

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return randomFillSync(new Uint8Array(length));
}

function keyPair(curve: Curve, secret: Uint8Array = randomBytes(32)): KeyPair {
  const der = createPublicKey(secretOf(curve, secret)).export({ format: 'der', type: 'spki' });
  return { publicKey: own(der.subarray(DER[curve].public.length)), secretKey: own(secret) };
}

const derive = promisify(hkdf);

export const nodeCrypto: CryptoProvider = {
  name: 'node',
  randomBytes,
  sha256: async (bytes) => own(createHash('sha256').update(bytes).digest()),
  hkdfSha256: async (ikm, salt, info, length) => new Uint8Array(await derive('sha256', ikm, salt, info, length)),

  async aes256gcmSeal(key, nonce, plaintext, associated) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(associated);
    return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  },

  async aes256gcmOpen(key, nonce, sealed, associated) {
    const end = sealed.length - TAG_BYTES;
    if (end < 0) throw new TacitError('report/malformed', 'shorter than its tag');
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associated);
    decipher.setAuthTag(sealed.subarray(end));
    const plaintext = decipher.update(sealed.subarray(0, end));
    try {
      return concat(plaintext, decipher.final());
    } catch (cause) {
      throw new TacitError('report/malformed', 'the seal does not verify', { cause });
    }
  },

  x25519KeyPair: async (secret) => keyPair('x25519', secret),
  async x25519(secretKey, publicKey) {
    const keys = { privateKey: secretOf('x25519', secretKey), publicKey: publicOf('x25519', publicKey) };
    let shared: Uint8Array<ArrayBuffer>;
    try {
      shared = own(diffieHellman(keys));
    } catch (cause) {
      throw new TacitError('auth/bad-key', 'the key exchange fails', { cause });
    }
    return checkShared(shared);
  },

  ed25519KeyPair: async (seed) => keyPair('ed25519', seed),
  ed25519Sign: async (secretKey, message) => own(sign(null, message, secretOf('ed25519', secretKey))),
  async ed25519Verify(publicKey, message, signature) {
    if (!isUsableEd25519Key(publicKey) || !isCanonicalSignature(signature)) return false;
    return verify(null, message, publicOf('ed25519', publicKey), signature);
  },
};
