/** Who is in a session: what a participant says of itself, and the checks of it on both sides (SPEC.md §13.3). */
import { toHex } from '../bytes.ts';
import { checkX25519Key } from '../crypto/curves.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { TacitError } from '../errors.ts';
import { verifyStatement } from '../identity.ts';
import type { CertificateCheck } from './contracts.ts';
import type { Advertisement } from './objects.ts';
import type { RosterView } from './rules.ts';
import { advertiseStatement } from './statements.ts';

/** An entry as the rules compare it; hex sorts as bytes do. */
export const viewOf = ({ identity, maskKeys, channelKey }: Advertisement): RosterView => ({
  identity: toHex(identity),
  keys: [...maskKeys, channelKey].map(toHex),
});

/** @throws TacitError auth/bad-key, auth/bad-signature, and what the certificate's check throws */
export async function verifyAdvertisement(
  crypto: CryptoProvider,
  offerHash: Uint8Array,
  entry: Advertisement,
  checkCertificate?: CertificateCheck,
): Promise<void> {
  for (const key of [...entry.maskKeys, entry.channelKey]) checkX25519Key(key);
  await verifyStatement(crypto, entry.identity, advertiseStatement(offerHash, entry), entry.signature);
  if (checkCertificate) await checkCertificate(entry.identity, entry.certificate);
  // bytes that nobody verifies would only make the roster longer, until it fits no message
  else if (entry.certificate.length > 0)
    throw new TacitError('auth/certificate-invalid', 'a certificate where the plan asks for none');
}
