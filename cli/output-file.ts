/** A file that a person named on the command line for a result: one that cannot be written is told with its flag. */
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { TacitError } from '../protocol/errors.ts';

const refusal =
  (flag: string, path: string) =>
  (cause: NodeJS.ErrnoException): never => {
    throw new TacitError('run/store', `Cannot write ${path} (${cause.code}).`, { where: `${flag} ${path}`, cause });
  };

/** Writes a whole file, over what was there. @throws TacitError run/store */
export const writeOutput = (flag: string, path: string, content: Uint8Array | string): Promise<void> =>
  writeFile(path, content).catch(refusal(flag, path));

/** Opens an empty file to write piece by piece. @throws TacitError run/store */
export const openOutput = (flag: string, path: string): Promise<FileHandle> =>
  open(path, 'w').catch(refusal(flag, path));
