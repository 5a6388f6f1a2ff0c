/**
 * A lock between processes that change one file: a file beside it, made by whoever has the lock and removed when it is done. It is held
 * for milliseconds; one that is older than seconds was left behind by a process that died, and is taken away.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { TacitError } from '../../protocol/errors.ts';

/** No change of a small file takes as long. */
const LEFT_BEHIND_MS = 10_000;
const MOST_MS = 30_000;
const PAUSE_MS = 10;

const codeOf = (thrown: unknown): string | undefined => (thrown as { code?: string }).code;

/** Milliseconds since the file was made; undefined if there is none. */
async function ageOf(path: string): Promise<number | undefined> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Takes a lock away that was left behind; one that another process made just now is put back. */
async function takeAway(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
    if (((await ageOf(aside)) ?? LEFT_BEHIND_MS) < LEFT_BEHIND_MS) await link(aside, path);
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT' && codeOf(thrown) !== 'EEXIST') throw thrown;
  } finally {
    await rm(aside, { force: true });
  }
}

/** @returns whether the lock is ours now */
async function tryLock(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx', 0o600)).close();
    return true;
  } catch (thrown) {
    // Windows denies what is being removed
    if (codeOf(thrown) !== 'EEXIST' && codeOf(thrown) !== 'EPERM') throw thrown;
    return false;
  }
}

/** Waits for the lock of the file at `path`. @returns what gives it back @throws TacitError run/store */
export async function lock(path: string): Promise<() => Promise<void>> {
  const held = `${path}.lock`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    for (const until = Date.now() + MOST_MS; Date.now() < until; await pause(PAUSE_MS)) {
      if (await tryLock(held)) return () => rm(held, { force: true });
      if (((await ageOf(held)) ?? 0) >= LEFT_BEHIND_MS) await takeAway(held);
    }
  } catch (cause) {
    throw new TacitError('run/store', `${held}: ${(cause as Error).message}`, { where: held, cause });
  }
  throw new TacitError('run/store', `${held} is held by another process`, {
    where: held,
    hint: 'Another participant uses the same folder; if none does, remove that file.',
  });
}
