/**
 * Uploads that find no room in memory are put together in files: sealed bytes, readable by this user only. A file is unlinked as
 * soon as it is open, where the system allows that, so that nothing is left behind however the process ends.
 */
import { closeSync, mkdirSync, openSync, read, rmSync, unlinkSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TacitError } from '../protocol/errors.ts';
import type { UploadStorage } from '../protocol/upload-desk.ts';

export interface Spill {
  /** A file for so many bytes, or undefined when the limit is reached or the disk does not take it. */
  open(bytes: number): UploadStorage | undefined;
  readonly heldBytes: number;
  /** Removes what is left. */
  close(): Promise<void>;
}

/** What a participant is told to wait when the disk is full. */
const FULL_RETRY_MS = 5000;

function writeAll(file: number, part: Uint8Array, offset: number): void {
  try {
    for (let done = 0; done < part.length; ) done += writeSync(file, part, done, part.length - done, offset + done);
  } catch (cause) {
    throw new TacitError('wire/rate-limited', 'there is no room for another report yet', {
      retryAfterMs: FULL_RETRY_MS,
      cause,
    });
  }
}

/** @param maxBytes the most that all files together may take */
export function createSpill(maxBytes: number, parent = tmpdir()): Spill {
  let folder: string | undefined;
  let count = 0;
  let held = 0;

  const folderPath = (): string => {
    if (folder === undefined) {
      folder = join(parent, `tacit-spill-${process.pid}-${Math.trunc(performance.now() * 1000).toString(36)}`);
      mkdirSync(folder, { mode: 0o700, recursive: true });
    }
    return folder;
  };
  const openFile = (bytes: number): UploadStorage => {
    count += 1;
    const path = join(folderPath(), `${count}`);
    const file = openSync(path, 'wx+', 0o600);
    const unlinked = process.platform !== 'win32';
    if (unlinked) unlinkSync(path);
    held += bytes;
    return {
      write: (offset, part) => writeAll(file, part, offset),
      read: async () => {
        const whole = new Uint8Array(bytes);
        for (let done = 0, got = 1; done < bytes && got > 0; done += got) {
          got = await new Promise<number>((resolve, reject) => {
            read(file, whole, done, bytes - done, done, (error, n) => (error ? reject(error) : resolve(n)));
          });
        }
        return whole;
      },
      release: () => {
        held -= bytes;
        closeSync(file);
        if (!unlinked) rmSync(path, { force: true });
      },
    };
  };
  return {
    open(bytes) {
      if (held + bytes > maxBytes) return undefined;
      try {
        return openFile(bytes);
      } catch {
        return undefined;
      }
    },
    get heldBytes() {
      return held;
    },
    close: async () => {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}
