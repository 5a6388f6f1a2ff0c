/**
 * Marks of shares (SPEC.md §13.4): a hash of each share, which its dealer sends along with the box that holds it. The recipient compares, so
 * that a share that does not fit its mark when it is given later is known to be its giver's doing, and one that does, its dealer's.
 */
import { concat } from '../bytes.ts';
import { canon, fixed, u8 } from '../canon.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { Route, SharePair } from './boxes.ts';

/** Enough against a second share for a mark; that a dealer may find two for one harms nobody but itself. */
export const MARK_BYTES = 16;

/** Of which secret a share is: 0 the mask key, 1 b. */
export const SECRETS = { key: 0, self: 1 } as const;
export type SecretKind = keyof typeof SECRETS;

export async function markOf(
  crypto: CryptoProvider,
  { sessionId, from, to }: Route,
  { kind, exchange }: { readonly kind: SecretKind; readonly exchange: number },
  share: Uint8Array,
): Promise<Uint8Array> {
  const bytes = canon(
    'mark',
    fixed(32, sessionId),
    fixed(32, from),
    fixed(32, to),
    u8(exchange),
    u8(SECRETS[kind]),
    share,
  );
  const hash = await crypto.sha256(bytes);
  bytes.fill(0);
  return hash.subarray(0, MARK_BYTES);
}

/** Marks of all shares for one recipient: of the mask keys by exchange, then of b. */
export async function marksOf(crypto: CryptoProvider, route: Route, shares: SharePair): Promise<Uint8Array> {
  const of = (kind: SecretKind): Promise<Uint8Array>[] =>
    shares[kind].map((share, exchange) => markOf(crypto, route, { kind, exchange }, share));
  return concat(...(await Promise.all([...of('key'), ...of('self')])));
}

/** The mark of one share among those behind a box. @param exchanges of the session */
export function markIn(
  box: Uint8Array,
  exchanges: number,
  { kind, exchange }: { readonly kind: SecretKind; readonly exchange: number },
): Uint8Array {
  const at = box.length - MARK_BYTES * (2 * exchanges - SECRETS[kind] * exchanges - exchange);
  return box.subarray(at, at + MARK_BYTES);
}
