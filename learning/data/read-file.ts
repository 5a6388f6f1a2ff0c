/** Reads data files in Node, gunzipping those that are gzip. */
import { open, readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, createGunzip, gunzip } from 'node:zlib';
import { TacitError } from '../../protocol/errors.ts';
import { isIdx, parseIdx } from './idx.ts';

const unzip = promisify(gunzip);
const MAX_BYTES = 2 ** 32;

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

const codeOf = (thrown: unknown): string => String((thrown as { code?: unknown } | null)?.code ?? thrown);

/** Turns a file system error into data/not-found or data/unreadable, naming the file. */
export function fileError(thrown: unknown, path: string): TacitError {
  const code = codeOf(thrown);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new TacitError('data/not-found', `${path} does not exist`, { where: path });
  }
  return new TacitError('data/unreadable', `${path} cannot be read (${code})`, { where: path, cause: thrown });
}

/** Identifies a file's content cheaply: size and time of last change. @throws TacitError data/not-found */
export async function fileSignature(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path).catch((thrown) => {
    throw fileError(thrown, path);
  });
  return `${size}@${mtimeMs}`;
}

/**
 * The uncompressed bytes of a file. Of a truncated IDX file it says how many bytes were expected.
 * @throws TacitError data/not-found, data/unreadable
 */
export async function readDataFile(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((thrown) => {
    throw fileError(thrown, path);
  });
  if (!isGzip(bytes)) return bytes;
  try {
    return await unzip(bytes, { maxOutputLength: MAX_BYTES });
  } catch (thrown) {
    if (codeOf(thrown) !== 'Z_BUF_ERROR') throw damaged(path, thrown);
    const partial = await unzip(bytes, { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH });
    if (isIdx(partial)) parseIdx(partial, path);
    throw endsEarly(path);
  }
}

/** The text of a file piece by piece, gunzipped when it is gzip. @throws TacitError data/not-found, data/unreadable */
export async function* readText(path: string): AsyncGenerator<string> {
  const file = await open(path).catch((thrown) => {
    throw fileError(thrown, path);
  });
  try {
    const { buffer } = await file.read({ buffer: new Uint8Array(2), position: 0 });
    const bytes = file.createReadStream({ start: 0, autoClose: false });
    const stream = isGzip(buffer) ? bytes.pipe(createGunzip()) : bytes;
    bytes.once('error', (error) => stream.destroy(error));
    const decoder = new TextDecoder();
    for await (const piece of stream) yield decoder.decode(piece, { stream: true });
    yield decoder.decode();
  } catch (thrown) {
    if (thrown instanceof TacitError) throw thrown;
    if (codeOf(thrown) === 'Z_BUF_ERROR') throw endsEarly(path);
    throw codeOf(thrown).startsWith('Z_') ? damaged(path, thrown) : fileError(thrown, path);
  } finally {
    await file.close();
  }
}

const endsEarly = (path: string): TacitError =>
  new TacitError('data/unreadable', `${path} is truncated: the gzip file ends early`, { where: path });

export const damaged = (path: string, cause: unknown): TacitError =>
  new TacitError('data/unreadable', `${path} is damaged: ${cause instanceof Error ? cause.message : cause}`, {
    where: path,
    cause,
  });
