/** A certificate as people hand it on: its bytes as one line of base64url, in a file, a message or a field of a page. */
import { fromBase64Url, toBase64Url } from './bytes.ts';
import { decodeCertificate } from './certificate.ts';
import { TacitError } from './errors.ts';

export const certificateToText = (bytes: Uint8Array): string => toBase64Url(bytes);

/** The bytes of a certificate, not yet verified; white space anywhere in it is ignored. @throws TacitError auth/certificate-invalid */
export function certificateFromText(text: string): Uint8Array {
  try {
    const bytes = fromBase64Url(text.replace(/\s/g, ''));
    decodeCertificate(bytes);
    return bytes;
  } catch (cause) {
    throw new TacitError('auth/certificate-invalid', 'This is not a certificate.', {
      hint: 'The operator makes one with `tacit enroll`: one line of letters, digits, - and _.',
      cause,
    });
  }
}
