/** A participant's store as a folder of small files, readable by its owner only, each replaced atomically. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TacitError } from '../../protocol/errors.ts';
import type { ParticipantStore } from '../store.ts';
import { lock } from './lock.ts';

const NAME = /^[a-z0-9][a-z0-9.-]{0,127}$/;

const isAbsent = (thrown: unknown): boolean => (thrown as { code?: string }).code === 'ENOENT';

/** Keeps values as files of `folder`, which is created on first use. */
export function folderStore(folder: string): ParticipantStore {
  const pathOf = (name: string): string => {
    if (!NAME.test(name)) throw new RangeError(`not a name: ${name}`);
    return join(folder, name);
  };
  const read = async (name: string): Promise<Uint8Array | undefined> => {
    try {
      return new Uint8Array(await readFile(pathOf(name)));
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      throw storeError(pathOf(name), thrown);
    }
  };
  const write = async (name: string, value: Uint8Array): Promise<void> => {
    try {
      await writeDurably(pathOf(name), value);
    } catch (thrown) {
      throw storeError(pathOf(name), thrown);
    }
  };
  return {
    read,
    write,
    update: async (name, change) => {
      const release = await lock(pathOf(name));
      try {
        const after = change(await read(name));
        if (after) await write(name, after);
      } finally {
        await release();
      }
    },
    remove: (name) => rm(pathOf(name), { force: true }),
  };
}

const storeError = (path: string, cause: unknown): TacitError =>
  new TacitError('run/store', `${path}: ${(cause as Error).message}`, { where: path, cause });

/** Makes a rename in `folder` durable, where the system has a way to: Windows opens no folders, and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes beside the file, flushes, renames, then flushes the folder: a crash leaves the old value or, once this resolves, the new one. */
export async function writeDurably(path: string, value: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(value);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    await syncFolder(dirname(path));
  } catch (thrown) {
    await rm(beside, { force: true });
    throw thrown;
  }
}
