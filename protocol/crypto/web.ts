/**
 * The provider of browsers (and of any platform with WebCrypto): bulk ciphers and hashes by WebCrypto; the curves too where
 * it has them (Chrome from 133/137, Firefox from 130, Safari), else by tweetnacl. There is no pure-JavaScript fallback for bulk.
 */
import nacl from 'tweetnacl';
import { concat, fromHex } from '../bytes.ts';
import { TacitError } from '../errors.ts';
import { allShared, checkShared, isCanonicalSignature, isUsableEd25519Key } from './curves.ts';
import { counterAt, type Mask, PIECE_WORDS, ringAdder } from './masks.ts';
import type { CryptoProvider, KeyPair } from './provider.ts';

/** getRandomValues gives at most this much at a time. */
const RANDOM_PIECE = 65_536;
const BASE_POINT = fromHex(`09${'00'.repeat(31)}`);
const PKCS8 = {
  X25519: fromHex('302e020100300506032b656e04220420'),
  Ed25519: fromHex('302e020100300506032b657004220420'),
} as const;

type CurveName = keyof typeof PKCS8;
type CurveOperations = Pick<
  CryptoProvider,
  'x25519KeyPair' | 'x25519Each' | 'ed25519KeyPair' | 'ed25519Sign' | 'ed25519Verify'
>;

/** WebCrypto's types want bytes that are not shared between threads; nothing here ever is. */
const plain = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>;

function key32(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length !== 32) throw new TacitError('auth/bad-key', `a key of ${bytes.length} bytes`);
  return plain(bytes);
}

function subtle(): SubtleCrypto {
  const api: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (!api) {
    throw new TacitError('net/insecure', 'this page has no WebCrypto', {
      hint: 'Open it over https, or on localhost.',
    });
  }
  return api;
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += RANDOM_PIECE) crypto.getRandomValues(bytes.subarray(at, at + RANDOM_PIECE));
  return bytes;
}

const secretKeyOf = (curve: CurveName, secret: Uint8Array): Promise<CryptoKey> =>
  subtle().importKey('pkcs8', concat(PKCS8[curve], key32(secret)), { name: curve }, curve === 'Ed25519', [
    curve === 'Ed25519' ? 'sign' : 'deriveBits',
  ]);

async function deriveX25519(secret: CryptoKey, publicKey: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const other = await subtle().importKey('raw', key32(publicKey), { name: 'X25519' }, false, []);
  return new Uint8Array(await subtle().deriveBits({ name: 'X25519', public: other }, secret, 256));
}

/** The public key of a seed: WebCrypto gives it only in a JSON web key. */
async function ed25519PublicKey(seed: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const { x } = await subtle().exportKey('jwk', await secretKeyOf('Ed25519', seed));
  return Uint8Array.from(atob((x ?? '').replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

const platformX25519: Pick<CurveOperations, 'x25519KeyPair' | 'x25519Each'> = {
  async x25519KeyPair(secret = randomBytes(32)) {
    return {
      publicKey: await deriveX25519(await secretKeyOf('X25519', secret), BASE_POINT),
      secretKey: secret.slice(),
    };
  },
  async x25519Each(secretKey, publicKeys) {
    const secret = await secretKeyOf('X25519', secretKey);
    const exchange = async (publicKey: Uint8Array): Promise<Uint8Array<ArrayBuffer>> => {
      let shared: Uint8Array<ArrayBuffer>;
      try {
        shared = await deriveX25519(secret, publicKey);
      } catch (cause) {
        throw new TacitError('auth/bad-key', 'the key exchange fails', { cause });
      }
      return checkShared(shared);
    };
    return allShared(publicKeys.map(exchange));
  },
};

const platformEd25519: Pick<CurveOperations, 'ed25519KeyPair' | 'ed25519Sign' | 'ed25519Verify'> = {
  async ed25519KeyPair(seed = randomBytes(32)) {
    return { publicKey: await ed25519PublicKey(seed), secretKey: seed.slice() };
  },
  async ed25519Sign(secretKey, message) {
    return new Uint8Array(await subtle().sign('Ed25519', await secretKeyOf('Ed25519', secretKey), plain(message)));
  },
  async ed25519Verify(publicKey, message, signature) {
    try {
      const key = await subtle().importKey('raw', plain(publicKey), { name: 'Ed25519' }, false, ['verify']);
      return await subtle().verify('Ed25519', key, plain(signature), plain(message));
    } catch {
      return false; // some platforms refuse to import a key that is not on the curve
    }
  },
};

const naclX25519: Pick<CurveOperations, 'x25519KeyPair' | 'x25519Each'> = {
  async x25519KeyPair(secret = randomBytes(32)): Promise<KeyPair> {
    return { publicKey: plain(nacl.scalarMult.base(key32(secret))), secretKey: secret.slice() };
  },
  async x25519Each(secretKey, publicKeys) {
    const exchange = async (other: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
      checkShared(plain(nacl.scalarMult(key32(secretKey), key32(other))));
    return allShared(publicKeys.map(exchange));
  },
};

const naclEd25519: Pick<CurveOperations, 'ed25519KeyPair' | 'ed25519Sign' | 'ed25519Verify'> = {
  async ed25519KeyPair(seed = randomBytes(32)): Promise<KeyPair> {
    return { publicKey: plain(nacl.sign.keyPair.fromSeed(key32(seed)).publicKey), secretKey: seed.slice() };
  },
  async ed25519Sign(secretKey, message) {
    return plain(nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(key32(secretKey)).secretKey));
  },
  ed25519Verify: async (publicKey, message, signature) => nacl.sign.detached.verify(message, signature, publicKey),
};

/** Whether the platform has a curve, found out once by using it on fixed bytes. */
function probe(use: () => Promise<unknown>): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined;
  return () => {
    answer ??= use().then(
      () => true,
      () => false,
    );
    return answer;
  };
}
const hasX25519 = probe(() => platformX25519.x25519KeyPair(BASE_POINT));
const hasEd25519 = probe(() => platformEd25519.ed25519KeyPair(BASE_POINT));

const aesKey = (key: Uint8Array, use: 'encrypt' | 'decrypt'): Promise<CryptoKey> =>
  subtle().importKey('raw', key32(key), 'AES-GCM', false, [use]);

const aesParameters = (nonce: Uint8Array, associated: Uint8Array): AesGcmParams => ({
  name: 'AES-GCM',
  iv: plain(nonce),
  additionalData: plain(associated),
  tagLength: 128,
});

/** Words that one call encrypts, 1 MiB: longer calls are slower. */
const CALL_WORDS = 262_144;
/** Calls in flight at a time. */
const CALLS = 4;

/** Adds pieces of several keystreams, of the same words, to these words. */
function addKeystreams(
  words: Int32Array,
  streams: readonly { readonly bytes: Uint8Array; readonly sign: 1 | -1 }[],
): void {
  const adder = ringAdder();
  for (let at = 0; at < words.length; at += PIECE_WORDS) {
    const piece = words.subarray(at, at + PIECE_WORDS);
    adder.load(piece);
    for (const { bytes, sign } of streams) adder.apply(bytes.subarray(4 * at, 4 * (at + piece.length)), sign);
    adder.store(piece);
  }
  adder.clear();
}

/** Masks by WebCrypto, 1 MiB of a few streams at a time, each call with the counter of its place. */
async function applyMasks(words: Int32Array, masks: readonly Mask[], firstWord = 0): Promise<void> {
  const zeros = new Uint8Array(4 * Math.min(CALL_WORDS, words.length));
  for (let from = 0; from < masks.length; from += CALLS) {
    const keys = await Promise.all(
      masks.slice(from, from + CALLS).map(async ({ key, sign }) => ({
        key: await subtle().importKey('raw', key32(key), 'AES-CTR', false, ['encrypt']),
        sign,
      })),
    );
    for (let at = 0; at < words.length; at += CALL_WORDS) {
      const part = words.subarray(at, at + CALL_WORDS);
      const counter = counterAt(firstWord + at);
      const streams = await Promise.all(
        keys.map(async ({ key, sign }) => {
          const plaintext = zeros.subarray(0, 4 * part.length);
          const keystream = await subtle().encrypt({ name: 'AES-CTR', counter, length: 128 }, key, plaintext);
          return { bytes: new Uint8Array(keystream), sign };
        }),
      );
      addKeystreams(part, streams);
    }
  }
}

/** A provider on WebCrypto whose curves are the platform's, tweetnacl's, or (`auto`) the platform's where it has them. */
export function createWebCrypto(curves: 'auto' | 'platform' | 'tweetnacl' = 'auto'): CryptoProvider {
  const choose =
    <T>(platform: T, fallback: T, has: () => Promise<boolean>) =>
    async (): Promise<T> =>
      curves === 'platform' || (curves === 'auto' && (await has())) ? platform : fallback;
  const x25519 = choose(platformX25519, naclX25519, hasX25519);
  const ed25519 = choose(platformEd25519, naclEd25519, hasEd25519);
  return {
    name: curves === 'auto' ? 'web' : `web:${curves}`,
    randomBytes,
    sha256: async (bytes) => new Uint8Array(await subtle().digest('SHA-256', plain(bytes))),
    async hkdfSha256(ikm, salt, info, length) {
      const key = await subtle().importKey('raw', plain(ikm), 'HKDF', false, ['deriveBits']);
      const parameters = { name: 'HKDF', hash: 'SHA-256', salt: plain(salt), info: plain(info) };
      return new Uint8Array(await subtle().deriveBits(parameters, key, 8 * length));
    },
    async aes256gcmSeal(key, nonce, plaintext, associated) {
      const parameters = aesParameters(nonce, associated);
      return new Uint8Array(await subtle().encrypt(parameters, await aesKey(key, 'encrypt'), plain(plaintext)));
    },
    async aes256gcmOpen(key, nonce, sealed, associated) {
      const imported = await aesKey(key, 'decrypt');
      try {
        return new Uint8Array(await subtle().decrypt(aesParameters(nonce, associated), imported, plain(sealed)));
      } catch (cause) {
        throw new TacitError('report/malformed', 'the seal does not verify', { cause });
      }
    },
    applyMasks,
    x25519KeyPair: async (secret) => (await x25519()).x25519KeyPair(secret),
    x25519: async (secretKey, publicKey) => (await (await x25519()).x25519Each(secretKey, [publicKey]))[0]!,
    x25519Each: async (secretKey, publicKeys) => (await x25519()).x25519Each(secretKey, publicKeys),
    ed25519KeyPair: async (seed) => (await ed25519()).ed25519KeyPair(seed),
    ed25519Sign: async (secretKey, message) => (await ed25519()).ed25519Sign(secretKey, message),
    async ed25519Verify(publicKey, message, signature) {
      if (!isUsableEd25519Key(publicKey) || !isCanonicalSignature(signature)) return false;
      return (await ed25519()).ed25519Verify(publicKey, message, signature);
    },
  };
}

/** The provider for pages and workers. */
export const webCrypto: CryptoProvider = createWebCrypto();
