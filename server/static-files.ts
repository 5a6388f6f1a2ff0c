/**
 * Files that are served as they are. The folder is listed once, at the start, and a request is looked up in that list: no path
 * of a request is ever joined to a path of the disk, so no spelling of `..` leads out of it.
 */
import { createReadStream, type Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/** Names that a bundler makes from a file's content: `engine-Bq81zX0a.wasm`. */
const HASHED = /[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;

/** WebAssembly is built compressed, and served under its own name. */
const PACKED = /\.wasm\.gz$/;

interface StaticFile {
  readonly path: string;
  /** Whether the file on disk is compressed by gzip. */
  readonly packed: boolean;
  readonly bytes: number;
  readonly type: string;
  readonly immutable: boolean;
}

/** Files by the path of their URL. */
export type StaticFiles = ReadonlyMap<string, StaticFile>;

/** Lists a folder (without hidden files and links) under a URL prefix ending in `/`; a folder that does not exist is empty. */
export async function listFiles(folder: string, prefix: string): Promise<StaticFiles> {
  const files = new Map<string, StaticFile>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((): Dirent[] => []);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const local = relative(folder, path).split(sep).join('/');
    if (!entry.isFile() || local.split('/').some((part) => part.startsWith('.'))) continue;
    const { size } = await stat(path);
    const packed = PACKED.test(local);
    const name = packed ? local.slice(0, -'.gz'.length) : local;
    const type = TYPES[extname(name)] ?? 'application/octet-stream';
    const immutable = local.startsWith('assets/') && HASHED.test(name);
    const file: StaticFile = { path, packed, bytes: size, type, immutable };
    files.set(`${prefix}${name}`, file);
    if (local === 'index.html') files.set(prefix, file);
  }
  return files;
}

/** Whether a client takes gzip; every browser does. */
const takesGzip = ({ headers }: IncomingMessage): boolean =>
  /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(String(headers['accept-encoding'] ?? ''));

/** Answers a GET or HEAD of a listed file. */
export function sendFile(file: StaticFile, request: IncomingMessage, response: ServerResponse): void {
  const unpack = file.packed && !takesGzip(request);
  response.writeHead(200, {
    'Content-Type': file.type,
    'Cache-Control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    ...(unpack ? {} : { 'Content-Length': file.bytes }),
    ...(file.packed ? { Vary: 'Accept-Encoding' } : {}),
    ...(file.packed && !unpack ? { 'Content-Encoding': 'gzip' } : {}),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const stream = createReadStream(file.path, { end: Math.max(0, file.bytes - 1) });
  const end = (error: Error | null | undefined): void => {
    if (error) response.destroy();
  };
  if (unpack) pipeline(stream, createGunzip(), response, end);
  else pipeline(stream, response, end);
}
