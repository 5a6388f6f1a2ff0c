/** The provider of Node: node:crypto throughout. Imported by Node entries only. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  randomFillSync,
  sign,
  verify,
  webcrypto,
} from 'node:crypto';
import { concat, equalBytes, fromHex } from '../bytes.ts';
import { TacitError } from '../errors.ts';
import { applyMasks } from '../node/mask-thread.ts';
import { allShared, checkShared, isCanonicalSignature, isUsableEd25519Key } from './curves.ts';
import type { CryptoProvider, KeyPair } from './provider.ts';

const TAG_BYTES = 16;
const HASH_BYTES = 32;

/** DER before a raw 32-byte secret key: PKCS #8 of RFC 8410. */
const DER = {
  x25519: fromHex('302e020100300506032b656e04220420'),
  ed25519: fromHex('302e020100300506032b657004220420'),
} as const;
type Curve = keyof typeof DER;

const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

function key32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 32) throw new TacitError('auth/bad-key', `a key of ${bytes.length} bytes`);
  return bytes;
}

/** Base64url by node itself: keys are many, and each is needed once. */
const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');

/** Names of the curves in JSON Web Keys (RFC 8037), whose import is ten times faster than that of DER. */
const CRV = { x25519: 'X25519', ed25519: 'Ed25519' } as const;

const secretFromDer = (curve: Curve, raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concat(DER[curve], key32(raw))), format: 'der', type: 'pkcs8' });

const NO_PUBLIC = textOf(new Uint8Array(32));

/** `x` only holds the public half's place: node computes that half from the secret, which `tryJwk` makes sure of. */
const secretFromJwk = (curve: Curve, raw: Uint8Array): KeyObject =>
  createPrivateKey({
    key: { kty: 'OKP', crv: CRV[curve], d: textOf(key32(raw)), x: NO_PUBLIC },
    format: 'jwk',
  });

/** As a JSON Web Key too: writing DER takes longer than computing the key. */
const rawPublicOf = (secret: KeyObject): Uint8Array<ArrayBuffer> =>
  own(Buffer.from(createPublicKey(secret).export({ format: 'jwk' }).x ?? '', 'base64url'));

/** Whether this version of Node takes a secret without its public half; tried once, since a wrong half would give keys away. */
let jwkComputesPublic: boolean | undefined;
function tryJwk(): boolean {
  const raw = new Uint8Array(32).fill(7);
  try {
    return (['x25519', 'ed25519'] as const).every((curve) =>
      equalBytes(rawPublicOf(secretFromJwk(curve, raw)), rawPublicOf(secretFromDer(curve, raw))),
    );
  } catch {
    return false;
  }
}

function secretOf(curve: Curve, raw: Uint8Array): KeyObject {
  jwkComputesPublic ??= tryJwk();
  return jwkComputesPublic ? secretFromJwk(curve, raw) : secretFromDer(curve, raw);
}

/** Public keys as they were imported: those of a roster meet each of its secrets, those of identities verify every statement. */
const imported = new Map<string, KeyObject>();
const MAX_IMPORTED = 1024;

function publicOf(curve: Curve, raw: Uint8Array): KeyObject {
  const x = textOf(key32(raw));
  const before = imported.get(curve + x);
  if (before) return before;
  if (imported.size >= MAX_IMPORTED) imported.clear();
  const key = createPublicKey({ key: { kty: 'OKP', crv: CRV[curve], x }, format: 'jwk' });
  imported.set(curve + x, key);
  return key;
}

/** Keys that sign, as they were imported. Those of identities live as long as they do; secrets of a round are never kept here. */
const signing = new WeakMap<Uint8Array, KeyObject>();

function signingKey(raw: Uint8Array): KeyObject {
  const key = signing.get(raw) ?? secretOf('ed25519', raw);
  signing.set(raw, key);
  return key;
}

/** One exchange. @throws TacitError auth/bad-key if it fails or gives zero */
function exchange(privateKey: KeyObject, publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  const keys = { privateKey, publicKey: publicOf('x25519', publicKey) };
  let shared: Uint8Array<ArrayBuffer>;
  try {
    shared = own(diffieHellman(keys));
  } catch (cause) {
    throw new TacitError('auth/bad-key', 'the key exchange fails', { cause });
  }
  return checkShared(shared);
}

/** Bytes from which on a hash is worth the way to another thread. */
const HASH_IN_THREADS_BYTES = 128 * 1024;

async function sha256(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const { buffer, byteOffset, length } = bytes;
  if (length < HASH_IN_THREADS_BYTES || !(buffer instanceof ArrayBuffer)) {
    return own(createHash('sha256').update(bytes).digest());
  }
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', new Uint8Array(buffer, byteOffset, length)));
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return randomFillSync(new Uint8Array(length));
}

/** RFC 5869. `hkdfSync` makes key objects of what it is given, which takes twice as long. */
function hkdf(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const key = createHmac('sha256', salt).update(ikm).digest();
  const output = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let at = 0, count = 1; at < length; at += HASH_BYTES, count++) {
    block = createHmac('sha256', key)
      .update(concat(block, info, Uint8Array.of(count)))
      .digest();
    output.set(block.subarray(0, length - at), at);
  }
  key.fill(0);
  block.fill(0);
  return output;
}

function keyPair(curve: Curve, given?: Uint8Array): KeyPair {
  const secretKey = given ? own(given) : randomBytes(32);
  return { publicKey: rawPublicOf(secretOf(curve, secretKey)), secretKey };
}

/** Results of verifications, by a hash of all that they depend on: a roster is verified by every participant of a process. */
const verified = new Map<string, Promise<boolean>>();
const MAX_VERIFIED = 20_000;

const verifyInThreads = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> =>
  new Promise((resolve, reject) => {
    verify(null, message, publicOf('ed25519', publicKey), signature, (error, good) => {
      if (error) reject(error);
      else resolve(good);
    });
  });

/** Verifies in the thread pool, each triple of key, signature and statement once. */
function verifiedOnce(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const key = createHash('sha256').update(publicKey).update(signature).update(message).digest('base64');
  const before = verified.get(key);
  if (before) return before;
  if (verified.size >= MAX_VERIFIED) verified.clear();
  const result = verifyInThreads(publicKey, message, signature);
  verified.set(key, result);
  result.catch(() => verified.delete(key));
  return result;
}

export const nodeCrypto: CryptoProvider = {
  name: 'node',
  randomBytes,
  sha256,
  hkdfSha256: async (ikm, salt, info, length) => hkdf(ikm, salt, info, length),

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

  applyMasks,

  x25519KeyPair: async (secret) => keyPair('x25519', secret),
  x25519: async (secretKey, publicKey) => exchange(secretOf('x25519', secretKey), publicKey),
  async x25519Each(secretKey, publicKeys) {
    const secret = secretOf('x25519', secretKey);
    return allShared(publicKeys.map(async (publicKey) => exchange(secret, publicKey)));
  },

  ed25519KeyPair: async (seed) => keyPair('ed25519', seed),
  ed25519Sign: async (secretKey, message) => own(sign(null, message, signingKey(secretKey))),
  async ed25519Verify(publicKey, message, signature) {
    if (!isUsableEd25519Key(publicKey) || !isCanonicalSignature(signature)) return false;
    return verifiedOnce(publicKey, message, signature);
  },
};
