import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHttp, type Http, type HttpOptions } from '../../../server/http.ts';

/** A certificate for localhost, made for these tests; valid for a hundred years and trusted by nobody. */
const fixture = (name: string): string => fileURLToPath(new URL(`tls/${name}`, import.meta.url));

let dir: string;
let http: Http | undefined;
let port = 0;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-http-'));
  await mkdir(join(dir, 'page', 'assets'), { recursive: true });
  await mkdir(join(dir, 'data', 'digits'), { recursive: true });
  await mkdir(join(dir, 'data', 'mine'));
  await writeFile(join(dir, 'data', 'mine', 'cat.png'), 'private');
  await writeFile(join(dir, 'page', 'index.html'), '<!doctype html><title>join</title>');
  await writeFile(join(dir, 'page', 'assets', 'engine-Bq81zX0a.wasm'), Uint8Array.of(0, 1, 2));
  await writeFile(join(dir, 'page', 'assets', 'plain.js'), '1');
  await writeFile(join(dir, 'page', '.hidden'), 'secret');
  await writeFile(join(dir, 'data', 'digits', 'train.bin'), 'digits');
  await writeFile(join(dir, 'data', 'manifest.json'), '{}');
  await writeFile(join(dir, 'data', 'notes.txt'), 'private');
  await writeFile(join(dir, 'secret.txt'), 'secret');
  await symlink(join(dir, 'secret.txt'), join(dir, 'page', 'link.txt'));
});
afterEach(async () => {
  await http?.close();
  http = undefined;
  await rm(dir, { recursive: true, force: true });
});

const serve = async (options: Partial<HttpOptions> = {}): Promise<string> => {
  http = await createHttp({ port: 0, joinPage: join(dir, 'page'), data: join(dir, 'data'), ...options });
  const listening = await http.listen();
  port = listening.port;
  return listening.url;
};

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

/** Node's own client, which sends the path as it is written. */
const request = (path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = httpGet({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on('error', reject);
  });

describe('what is served', () => {
  test('the page, its assets and the data, each with its type', async () => {
    await serve();
    expect(await request('/')).toMatchObject({ status: 200, body: '<!doctype html><title>join</title>' });
    expect((await request('/?x=1')).status).toBe(200);
    expect((await request('/assets/engine-Bq81zX0a.wasm')).headers['content-type']).toBe('application/wasm');
    expect((await request('/data/digits/train.bin')).body).toBe('digits');
    expect((await request('/data/manifest.json')).body).toBe('{}');
    expect((await request('/nothing')).status).toBe(404);
  });

  test('of the data folder only the bundled sets: what somebody keeps beside them is nobody else’s', async () => {
    await serve();
    for (const path of ['/data/mine/cat.png', '/data/notes.txt', '/data/']) {
      expect((await request(path)).status).toBe(404);
    }
  });

  test('WebAssembly that is built compressed, under its own name, compressed or not as the client can take it', async () => {
    const module = new Uint8Array(5000).fill(7);
    await writeFile(join(dir, 'page', 'assets', 'packed-Bq81zX0a.wasm.gz'), gzipSync(module));
    const url = await serve();
    const path = '/assets/packed-Bq81zX0a.wasm';
    const ask = async (accepted: string) => {
      const response = await fetch(`${url}${path}`, { headers: { 'accept-encoding': accepted } });
      expect(response.headers.get('content-type')).toBe('application/wasm');
      expect(response.headers.get('cache-control')).toContain('immutable');
      expect(response.headers.get('vary')).toContain('Accept-Encoding');
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(module);
      return response.headers.get('content-encoding');
    };
    expect(await ask('br, gzip, deflate')).toBe('gzip');
    expect(await ask('gzip;q=0.5')).toBe('gzip');
    expect(await ask('identity')).toBeNull();
    expect(await ask('gzip;q=0, identity')).toBeNull();
    expect((await request(`${path}.gz`)).status).toBe(404);
  });

  test('files named by their content may be kept for ever, and no others', async () => {
    await serve();
    expect((await request('/assets/engine-Bq81zX0a.wasm')).headers['cache-control']).toContain('immutable');
    expect((await request('/assets/plain.js')).headers['cache-control']).toBe('no-cache');
    expect((await request('/')).headers['cache-control']).toBe('no-cache');
  });

  test('HEAD gives the headers alone; other methods are refused', async () => {
    await serve();
    expect(await request('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
    expect((await request('/', { method: 'POST' })).status).toBe(405);
    expect((await request('/', { method: 'DELETE' })).status).toBe(405);
  });

  test('no spelling of a path leads out of the folder', async () => {
    await serve();
    const paths = [
      '/../secret.txt',
      '/data/../../secret.txt',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/data/..%2f..%2fsecret.txt',
      '/%2e%2e%2fsecret.txt',
      '/..\\secret.txt',
      '//secret.txt',
      `/${join(dir, 'secret.txt')}`,
      '/data/%00/../secret.txt',
      '/link.txt',
      '/.hidden',
    ];
    for (const path of paths) expect(await request(path), path).toMatchObject({ status: 404, body: 'Not found.\n' });
  });

  test('health, metrics and the description of the federation', async () => {
    const info = {
      version: 1 as const,
      protocol: [1],
      task: 't',
      fingerprint: 'f',
      planHash: 'p',
      plan: {},
      round: 3,
      finished: false,
    };
    await serve({ info: () => info, health: () => ({ round: 3 }), metrics: async () => 'tacit_rounds 3\n' });
    expect(JSON.parse((await request('/health')).body)).toEqual({ status: 'ok', round: 3 });
    expect((await request('/metrics')).body).toBe('tacit_rounds 3\n');
    expect(JSON.parse((await request('/federation.json')).body)).toEqual(info);
  });

  test('a coordinator without a built page still answers', async () => {
    await serve({ joinPage: join(dir, 'missing') });
    expect((await request('/')).status).toBe(200);
  });
});

describe('headers', () => {
  test('isolate the page, allow wasm and its own workers, and nothing from elsewhere', async () => {
    await serve();
    for (const path of ['/', '/nothing', '/health', '/data/digits/train.bin']) {
      const { headers } = await request(path);
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      expect(headers['cross-origin-embedder-policy']).toBe('require-corp');
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(headers['x-content-type-options']).toBe('nosniff');
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
      expect(policy).toContain("worker-src 'self'");
      expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:|\*/);
      expect(headers['strict-transport-security']).toBeUndefined();
    }
  });

  test('a request under another name is refused on loopback', async () => {
    await serve();
    expect((await request('/', { headers: { Host: 'evil.example' } })).status).toBe(403);
    expect((await request('/', { headers: { Host: `localhost:${port}` } })).status).toBe(200);
  });
});

describe('listening', () => {
  test('a taken port is named, with what to do', async () => {
    await serve();
    const second = await createHttp({ port });
    await expect(second.listen()).rejects.toMatchObject({
      code: 'net/port-in-use',
      where: `127.0.0.1:${port}`,
      hint: expect.stringContaining('--port'),
    });
  });

  test('plain http beyond this machine is refused, unless a proxy in front is declared', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.7', 'example.org']) {
      await expect(createHttp({ port: 0, host })).rejects.toMatchObject({ code: 'net/insecure' });
    }
    http = await createHttp({ port: 0, host: '0.0.0.0', behindProxy: true });
    port = (await http.listen()).port;
    expect((await request('/', { headers: { Host: 'example.org' } })).status).toBe(200);
  });

  test('a certificate that is missing or does not fit is a coded error', async () => {
    const cert = join(dir, 'cert.pem');
    await expect(createHttp({ port: 0, tls: { cert, key: cert } })).rejects.toMatchObject({
      code: 'net/tls',
      where: cert,
    });
    await writeFile(cert, 'not a certificate');
    await expect(createHttp({ port: 0, tls: { cert, key: cert } })).rejects.toMatchObject({ code: 'net/tls' });
  });

  test('TLS by file', async () => {
    const cert = fixture('cert.pem');
    const key = fixture('key.pem');
    const url = await serve({ tls: { cert, key }, host: '127.0.0.1' });
    expect(url).toMatch(/^https:/);
    const answer = await new Promise<Answer>((resolve, reject) => {
      httpsGet(`${url}/health`, { rejectUnauthorized: false, agent: false }, (response) => {
        response.resume();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: '' });
      }).on('error', reject);
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['strict-transport-security']).toContain('max-age');
  });

  test('close ends connections that are open', async () => {
    await serve();
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    await http?.close();
    await ended;
  });
});
