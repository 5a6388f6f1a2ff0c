/** Certificate files, which `tacit enroll` writes and `tacit join` and the join page read. */
import { readFile, writeFile } from 'node:fs/promises';
import { certificateFromText, certificateToText } from '../protocol/certificate-text.ts';
import { TacitError } from '../protocol/errors.ts';

/** @throws TacitError usage/unknown-flag if it cannot be read, auth/certificate-invalid if it holds something else */
export async function readCertificate(path: string): Promise<Uint8Array> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new TacitError('usage/unknown-flag', `Cannot read ${path} (${cause.code}).`, { where: path, cause });
  });
  try {
    return certificateFromText(text);
  } catch (cause) {
    throw new TacitError('auth/certificate-invalid', `${path} holds no certificate`, {
      where: path,
      hint: 'The operator makes one with `tacit enroll`.',
      cause,
    });
  }
}

/** @throws TacitError usage/file-exists, run/store */
export async function writeCertificate(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, `${certificateToText(bytes)}\n`, { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    const exists = cause.code === 'EEXIST';
    throw new TacitError(
      exists ? 'usage/file-exists' : 'run/store',
      exists ? `${path} exists already` : `Cannot write ${path} (${cause.code}).`,
      { where: path, hint: 'Name a file that does not exist yet.', cause },
    );
  });
}
