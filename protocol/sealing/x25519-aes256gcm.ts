/**
 * Suite `x25519-aes256gcm`: X25519, HKDF-SHA-256 over the context, AES-256-GCM in numbered segments (the STREAM construction,
 * Hoang et al. 2015, eprint 2015/189); bulk by the platform. key ‖ prefix = HKDF(shared, "fsa/1", context, 39);
 * nonce = prefix (7 bytes) ‖ u32be(number) ‖ last (0 or 1); no associated data.
 */
import { utf8 } from '../bytes.ts';
import { checkX25519Key } from '../crypto/curves.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import {
  EPHEMERAL_BYTES,
  plaintextBytesOf,
  type SealContext,
  type SealingSuite,
  sealContext,
  segmentedBytes,
  segmentsOf,
} from './suite.ts';

const SALT = utf8('fsa/1');
const KEY_BYTES = 32;
const PREFIX_BYTES = 7;
const NOTHING = new Uint8Array(0);

/** Key and nonces of one sealed report. */
interface Stream {
  readonly key: Uint8Array;
  nonce(number: number, last: boolean): Uint8Array;
  wipe(): void;
}

async function streamOf(
  crypto: CryptoProvider,
  shared: Uint8Array,
  ephemeralKey: Uint8Array,
  aggregatorKey: Uint8Array,
  context: SealContext,
): Promise<Stream> {
  const info = sealContext('x25519-aes256gcm', ephemeralKey, aggregatorKey, context);
  const okm = await crypto.hkdfSha256(shared, SALT, info, KEY_BYTES + PREFIX_BYTES);
  shared.fill(0);
  return {
    key: okm.subarray(0, KEY_BYTES),
    nonce(number, last) {
      const nonce = new Uint8Array(12);
      nonce.set(okm.subarray(KEY_BYTES));
      new DataView(nonce.buffer).setUint32(PREFIX_BYTES, number);
      nonce[11] = last ? 1 : 0;
      return nonce;
    },
    wipe: () => void okm.fill(0),
  };
}

export const x25519Aes256Gcm: SealingSuite = {
  name: 'x25519-aes256gcm',
  sealedBytes: segmentedBytes,

  async seal(crypto, aggregatorKey, context, plaintext) {
    checkX25519Key(aggregatorKey);
    const ephemeral = await crypto.x25519KeyPair(crypto.randomBytes(32));
    const shared = await crypto.x25519(ephemeral.secretKey, aggregatorKey);
    const stream = await streamOf(crypto, shared, ephemeral.publicKey, aggregatorKey, context);
    const sealed = new Uint8Array(segmentedBytes(plaintext.length));
    sealed.set(ephemeral.publicKey);
    for (const { number, last, plain, sealed: at } of segmentsOf(plaintext.length)) {
      const segment = plaintext.subarray(...plain);
      sealed.set(await crypto.aes256gcmSeal(stream.key, stream.nonce(number, last), segment, NOTHING), at[0]);
    }
    stream.wipe();
    ephemeral.secretKey.fill(0);
    return sealed;
  },

  async open(crypto, aggregatorSecret, context, sealed) {
    const plaintext = new Uint8Array(plaintextBytesOf(sealed.length));
    const ephemeralKey = sealed.subarray(0, EPHEMERAL_BYTES);
    checkX25519Key(ephemeralKey);
    const { publicKey } = await crypto.x25519KeyPair(aggregatorSecret);
    const shared = await crypto.x25519(aggregatorSecret, ephemeralKey);
    const stream = await streamOf(crypto, shared, ephemeralKey, publicKey, context);
    try {
      for (const { number, last, plain, sealed: at } of segmentsOf(plaintext.length)) {
        const segment = sealed.subarray(...at);
        plaintext.set(await crypto.aes256gcmOpen(stream.key, stream.nonce(number, last), segment, NOTHING), plain[0]);
      }
    } finally {
      stream.wipe();
    }
    return plaintext;
  },
};
