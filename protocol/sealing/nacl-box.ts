/**
 * Suite `nacl-box`: numbered boxes of NaCl (X25519, XSalsa20-Poly1305) by tweetnacl, the reference that needs no platform cipher.
 * The plaintext of the boxes is SHA-256(context) ‖ report; nonce = "tacit/nacl-box/1" ‖ u32le(number) ‖ 00 00 00 ‖ last (0 or 1).
 */
import nacl from 'tweetnacl';
import { concat, equalBytes, u32le, utf8 } from '../bytes.ts';
import { checkX25519Key } from '../crypto/curves.ts';
import { TacitError } from '../errors.ts';
import {
  EPHEMERAL_BYTES,
  plaintextBytesOf,
  type SealingSuite,
  sealContext,
  segmentedBytes,
  segmentsOf,
} from './suite.ts';

const NONCE_PREFIX = utf8('tacit/nacl-box/1');
const CONTEXT_BYTES = 32;

const nonceOf = (number: number, last: boolean): Uint8Array =>
  concat(NONCE_PREFIX, u32le(number), Uint8Array.of(0, 0, 0, last ? 1 : 0));

export const naclBox: SealingSuite = {
  name: 'nacl-box',
  sealedBytes: (plaintextBytes) => segmentedBytes(CONTEXT_BYTES + plaintextBytes),

  async seal(crypto, aggregatorKey, context, plaintext) {
    checkX25519Key(aggregatorKey);
    const ephemeral = await crypto.x25519KeyPair(crypto.randomBytes(32));
    const bound = await crypto.sha256(sealContext('nacl-box', ephemeral.publicKey, aggregatorKey, context));
    const key = nacl.box.before(aggregatorKey, ephemeral.secretKey);
    const inside = concat(bound, plaintext);
    const sealed = new Uint8Array(segmentedBytes(inside.length));
    sealed.set(ephemeral.publicKey);
    for (const { number, last, plain, sealed: at } of segmentsOf(inside.length)) {
      sealed.set(nacl.box.after(inside.subarray(...plain), nonceOf(number, last), key), at[0]);
    }
    key.fill(0);
    ephemeral.secretKey.fill(0);
    return sealed;
  },

  async open(crypto, aggregatorSecret, context, sealed) {
    const inside = new Uint8Array(plaintextBytesOf(sealed.length));
    const ephemeralKey = sealed.subarray(0, EPHEMERAL_BYTES);
    checkX25519Key(ephemeralKey);
    const key = nacl.box.before(ephemeralKey, aggregatorSecret);
    try {
      for (const { number, last, plain, sealed: at } of segmentsOf(inside.length)) {
        const opened = nacl.box.open.after(sealed.subarray(...at), nonceOf(number, last), key);
        if (!opened) throw new TacitError('report/malformed', `box ${number} of the sealed report cannot be opened`);
        inside.set(opened, plain[0]);
      }
    } finally {
      key.fill(0);
    }
    const { publicKey } = await crypto.x25519KeyPair(aggregatorSecret);
    const bound = await crypto.sha256(sealContext('nacl-box', ephemeralKey, publicKey, context));
    if (!equalBytes(inside.subarray(0, CONTEXT_BYTES), bound)) {
      throw new TacitError('report/malformed', 'sealed for another participant, round, plan or model');
    }
    return inside.slice(CONTEXT_BYTES);
  },
};
