/**
 * The HTTP side: the join page and the data that comes with it, a public description of the federation, health and metrics.
 * TLS by certificate and key file. Plain http is served to this machine only, since browsers offer no cryptography, and nobody
 * any secrecy, over plain http from elsewhere; behind a proxy that terminates TLS it has to be asked for.
 */
import { readFile } from 'node:fs/promises';
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import helmet from 'helmet';
import { BUNDLED } from '../learning/data/manifest.ts';
import { asTacitError, TacitError } from '../protocol/errors.ts';
import { FEDERATION_INFO_PATH, type FederationInfo } from '../protocol/federation-info.ts';
import { hostAllowed, isLoopback, type OriginPolicy } from './origin.ts';
import { listFiles, type StaticFiles, sendFile } from './static-files.ts';

export interface HttpOptions {
  /** Default 127.0.0.1. Any other address needs `tls` or `behindProxy`. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** PEM files of the certificate (with its chain) and its key. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** A proxy in front terminates TLS and sets X-Forwarded-For. */
  readonly behindProxy?: boolean;
  /** Folder with the built join page; none: a line of text says so. */
  readonly joinPage?: string;
  /** Folder with the bundled data sets: they and their manifest are served under /data/, and nothing else that lies there. */
  readonly data?: string;
  readonly maxConnections?: number;
  /** Further origins whose pages may connect. */
  readonly origins?: readonly string[];
  /** What may be told to anybody; undefined while there is nothing to tell. */
  readonly info?: () => FederationInfo | undefined;
  readonly health?: () => Readonly<Record<string, unknown>>;
  /** Prometheus text. */
  readonly metrics?: () => Promise<string>;
}

export interface Http {
  readonly server: HttpServer | HttpsServer;
  readonly policy: OriginPolicy;
  /** Starts to listen. @returns the address to join at. @throws TacitError net/port-in-use, usage/unknown-flag */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

const DEFAULT_HOST = '127.0.0.1';

/** Scripts, workers, wasm and connections from this origin only; pictures also from files that the person picked. */
const headersOf = (secure: boolean) =>
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
        workerSrc: ["'self'"],
        connectSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'blob:', 'data:'],
        fontSrc: ["'self'"],
        manifestSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    crossOriginEmbedderPolicy: { policy: 'require-corp' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    strictTransportSecurity: secure ? { maxAge: 31_536_000 } : false,
  });

function checkHost(host: string, options: HttpOptions): void {
  if (options.tls || options.behindProxy || isLoopback(host)) return;
  throw new TacitError('net/insecure', `plain http on ${host} would be open to everybody on the way`, {
    where: 'host',
    hint: 'Give a certificate and its key (--tls-cert, --tls-key), or say --behind-proxy if a proxy in front terminates TLS. Without either, only 127.0.0.1 is served.',
  });
}

/** Whoever works in a clone may keep images of their own in its data/. */
async function listData(folder: string): Promise<StaticFiles> {
  const served = ['/data/manifest.json', ...BUNDLED.map((name) => `/data/${name}/`)];
  const files = await listFiles(folder, '/data/');
  return new Map([...files].filter(([path]) => served.some((prefix) => path.startsWith(prefix))));
}

const readPem = async (path: string): Promise<Buffer> => {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TacitError('net/tls', `cannot read ${path}`, { where: path, cause });
  }
};

async function makeServer(options: HttpOptions): Promise<HttpServer | HttpsServer> {
  if (!options.tls) return createHttpServer();
  const [cert, key] = await Promise.all([readPem(options.tls.cert), readPem(options.tls.key)]);
  try {
    return createHttpsServer({ cert, key, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new TacitError('net/tls', `certificate and key cannot be used: ${asTacitError(cause).message}`, {
      where: `${options.tls.cert}, ${options.tls.key}`,
      hint: 'Both must be PEM files, and the key must belong to the certificate.',
      cause,
    });
  }
}

/** @throws TacitError net/insecure, net/tls */
export async function createHttp(options: HttpOptions): Promise<Http> {
  const host = options.host ?? DEFAULT_HOST;
  checkHost(host, options);
  const server = await makeServer(options);
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.keepAliveTimeout = 5_000;
  server.maxConnections = options.maxConnections ?? 2_000;
  const files = new Map([
    ...(options.joinPage ? await listFiles(options.joinPage, '/') : []),
    ...(options.data ? await listData(options.data) : []),
  ]);
  const policy: OriginPolicy = {
    loopbackOnly: isLoopback(host) && !options.behindProxy,
    origins: options.origins ?? [],
  };
  const setHeaders = headersOf(options.tls !== undefined);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    setHeaders(request, response, () => {
      route(request, response, { options, files, policy }).catch(() => response.destroy());
    });
  });
  return { server, policy, listen: () => listen(server, host, options), close: () => closeServer(server) };
}

interface Site {
  readonly options: HttpOptions;
  readonly files: StaticFiles;
  readonly policy: OriginPolicy;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.end(text);
}

async function route(request: IncomingMessage, response: ServerResponse, site: Site): Promise<void> {
  const { options, files, policy } = site;
  if (!hostAllowed(request, policy))
    return sendText(response, 403, TEXT_TYPE, 'This server does not go by that name.\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return sendText(response, 405, TEXT_TYPE, 'Only GET is answered here.\n');
  }
  const path = (request.url ?? '/').split(/[?#]/, 1)[0]!;
  if (path === '/health') {
    return sendText(response, 200, JSON_TYPE, JSON.stringify({ status: 'ok', ...options.health?.() }));
  }
  if (path === FEDERATION_INFO_PATH && options.info) {
    const info = options.info();
    return info
      ? sendText(response, 200, JSON_TYPE, JSON.stringify(info))
      : sendText(response, 503, TEXT_TYPE, 'The coordinator is starting.\n');
  }
  if (path === '/metrics' && options.metrics) {
    return sendText(response, 200, 'text/plain; version=0.0.4; charset=utf-8', await options.metrics());
  }
  const file = files.get(path);
  if (file) return sendFile(file, request, response);
  if (path === '/') return sendText(response, 200, TEXT_TYPE, 'A Tacit coordinator. The join page is not built.\n');
  return sendText(response, 404, TEXT_TYPE, 'Not found.\n');
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): TacitError {
  if (cause.code === 'EADDRINUSE') {
    return new TacitError('net/port-in-use', `port ${port} on ${host} is taken by another program`, {
      where: `${host}:${port}`,
      hint: 'Choose another with --port, or --port 0 for any free one.',
      cause,
    });
  }
  return new TacitError('usage/unknown-flag', `cannot listen on ${host}:${port}: ${cause.message}`, {
    where: `${host}:${port}`,
    hint:
      cause.code === 'EACCES' ? 'Ports below 1024 need privileges; choose a higher one.' : 'Check --host and --port.',
    cause,
  });
}

function listen(
  server: HttpServer | HttpsServer,
  host: string,
  options: HttpOptions,
): Promise<{ url: string; port: number }> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => reject(listenError(cause, host, options.port));
    server.once('error', onError);
    server.listen(options.port, host, () => {
      server.off('error', onError);
      // A later error of the listening socket must not end the process.
      server.on('error', () => {});
      const { port } = server.address() as AddressInfo;
      const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
      resolve({ url: `${options.tls ? 'https' : 'http'}://${name}:${port}`, port });
    });
  });
}

function closeServer(server: HttpServer | HttpsServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
