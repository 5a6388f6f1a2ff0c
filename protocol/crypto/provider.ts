/**
 * The cryptography that Tacit uses, behind one interface with identical results everywhere: node:crypto (node.ts), WebCrypto with
 * tweetnacl for the curves that a platform lacks (web.ts). Randomness is the operating system's, never a seed of the run.
 */
import type { Mask } from './masks.ts';

/** A pair of raw 32-byte keys; the secret is what the curve's own clamping or hashing starts from. */
export interface KeyPair {
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly secretKey: Uint8Array<ArrayBuffer>;
}

export interface CryptoProvider {
  /** For logs: `node`, `web`. */
  readonly name: string;
  /** From the operating system, synchronously. */
  randomBytes(length: number): Uint8Array<ArrayBuffer>;
  sha256(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** Extract and expand (RFC 5869). */
  hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ciphertext ‖ 16-byte tag. Key 32 bytes, nonce 12. */
  aes256gcmSeal(
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** @throws TacitError report/malformed if the tag does not verify */
  aes256gcmOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * words ← words + Σ sign · mask in the ring, each mask an AES-256-CTR keystream (masks.ts).
   * @param firstWord where in the streams `words` begins, 0 by default; a multiple of 4
   */
  applyMasks(words: Int32Array, masks: readonly Mask[], firstWord?: number): Promise<void>;
  /** A fresh pair, or the one of 32 secret bytes (kept as they are; clamped on use). */
  x25519KeyPair(secret?: Uint8Array): Promise<KeyPair>;
  /** The raw 32-byte shared value (RFC 7748). @throws TacitError auth/bad-key if it is zero */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** `x25519` of one secret with each of these keys, in their order. The secret is taken in once, which costs as much as an exchange. */
  x25519Each(secretKey: Uint8Array, publicKeys: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>[]>;
  /** A fresh pair, or the one of a 32-byte seed; the secret key is the seed (RFC 8032). */
  ed25519KeyPair(seed?: Uint8Array): Promise<KeyPair>;
  ed25519Sign(secretKey: Uint8Array, message: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** Strict: false for S ≥ L, for encodings that are not canonical and for keys of small order (curves.ts). */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}
