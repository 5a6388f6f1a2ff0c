/** The keys of masks (SPEC.md §13.5). */
import { utf8 } from '../bytes.ts';
import type { CryptoProvider } from '../crypto/provider.ts';

const SALT = utf8('fsa/1');
const KEY_BYTES = 32;

/** @param secret b, or the shared value of two mask keys @param info `selfInfo`, `pairInfo` */
export const maskKey = (crypto: CryptoProvider, secret: Uint8Array, info: Uint8Array): Promise<Uint8Array> =>
  crypto.hkdfSha256(secret, SALT, info, KEY_BYTES);
