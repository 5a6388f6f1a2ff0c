/** serve and join as a person runs them: a whole federation, and everything that can be wrong with an address. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRun } from '../../learning/run-folder.ts';
import { decodeClientFrame, encodeFrame } from '../../protocol/codec.ts';
import { EXIT } from '../../protocol/errors.ts';
import { createHttp } from '../../server/http.ts';
import { socketListener } from '../../server/socket-io.ts';
import { buildOnce, endAll, type Outcome, type Running, start, tacit } from './cli.ts';

let dir: string;
const at = (...names: string[]): string => join(dir, ...names);

beforeAll(() => {
  buildOnce();
  dir = mkdtempSync(join(tmpdir(), 'tacit-cli-'));
});
afterAll(() => {
  endAll();
  rmSync(dir, { recursive: true, force: true });
});

const SMALL = [
  'rounds=2',
  'cohort=2',
  'encoder=mlp',
  'encoder.hidden=[16]',
  'data.minExamples=8',
  'privacy=sealed',
].flatMap((s) => ['--set', s]);

/** A coordinator on a free port. @returns it and the address that it printed */
async function serve(name: string, ...more: string[]): Promise<{ server: Running; url: string }> {
  const server = start(['serve', '--plan', 'digits', '--port', '0', '--out', at(name), ...SMALL, ...more]);
  const text = await server.until(/#srv=[\w-]{43}/);
  return { server, url: /http:\S+#srv=[\w-]{43}/.exec(text)![0] };
}

function expectError(outcome: Outcome, code: string, status: number, text: RegExp): void {
  expect(outcome.stderr).toContain(`error [${code}]: `);
  expect(outcome.stderr).toMatch(text);
  expect(outcome.stderr).toMatch(/^ {2}try: \S/m);
  expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(outcome.status).toBe(status);
}

describe('serve and join', { timeout: 120_000 }, () => {
  test('two participants finish a run; the run folder and the saved encoder hold the same model', async () => {
    const { server, url } = await serve('run', '--wait-for', '2', '--json', '--identity', at('server.key'));
    const joining = ['a', 'b'].map((name) =>
      tacit([
        'join',
        url,
        '--data',
        'digits',
        '--json',
        '--identity',
        at(`${name}.key`),
        '--save-model',
        at(`${name}.safetensors`),
      ]),
    );
    const [a, b, served] = await Promise.all([...joining, server.ended]);
    expect([a!.status, b!.status, served!.status]).toEqual([EXIT.ok, EXIT.ok, EXIT.ok]);
    const result = JSON.parse(served!.stdout) as Record<string, unknown>;
    expect(result).toMatchObject({ task: 'digits', finished: true, rounds: 2, privacyMode: 'sealed', seed: 7 });
    for (const { stdout } of [a!, b!]) {
      expect(JSON.parse(stdout)).toMatchObject({
        ended: 'finished',
        rounds: 2,
        reports: 2,
        modelHash: result.modelHash,
        fingerprint: result.fingerprint,
      });
    }
    expect(url).toContain(String(result.fingerprint));
    const [saved, folder] = [await openRun(at('a.safetensors')), await openRun(at('run'))];
    expect(saved.model).toEqual(folder.model);
    expect(saved.metadata.modelHash).toBe(result.modelHash);
    const metrics = readFileSync(at('run', 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
    expect(metrics.map((line) => (JSON.parse(line) as { round: number }).round)).toEqual([0, 1]);
    expect(JSON.parse(readFileSync(at('run', 'result.json'), 'utf8'))).toMatchObject({ modelHash: result.modelHash });
  });

  test('a stopped coordinator goes on from its last round', async () => {
    const durable = [
      '--data-dir',
      at('durable'),
      '--wait-for',
      '1',
      '--set',
      'rounds=40',
      '--set',
      'rounds.minReports=1',
      '--set',
      'rounds.recruitMs=1000',
    ];
    const first = await serve('resumed', ...durable);
    const participant = tacit(['join', first.url, '--data', 'digits', '--retries', '0', '--quiet']);
    await first.server.until(/round 1\/40 ·/);
    first.server.child.kill('SIGTERM');
    expect((await first.server.ended).status).toBe(EXIT.terminated);
    expect((await participant).status).not.toBe(EXIT.ok);
    const before = readFileSync(at('resumed', 'metrics.jsonl'), 'utf8').split('\n').length - 1;
    const second = await serve('resumed', ...durable);
    expect(second.url.split('#')[1]).toBe(first.url.split('#')[1]);
    const again = start(['join', second.url, '--data', 'digits', '--quiet']);
    const text = await second.server.until(/round \d+\/40 ·/);
    expect(Number(/round (\d+)\/40 ·/.exec(text)![1])).toBe(before + 1);
    second.server.child.kill('SIGTERM');
    again.child.kill('SIGTERM');
    await Promise.all([second.server.ended, again.ended]);
  });

  test('another fingerprint than the pinned one is refused', async () => {
    const { server, url } = await serve('pinned');
    const wrong = `${url.split('#')[0]}#srv=${'A'.repeat(43)}`;
    expectError(
      await tacit(['join', wrong, '--data', 'digits', '--retries', '0']),
      'auth/wrong-fingerprint',
      EXIT.trust,
      /A{43}/,
    );
    const flag = await tacit([
      'join',
      url.split('#')[0]!,
      '--fingerprint',
      'A'.repeat(43),
      '--data',
      'digits',
      '--retries',
      '0',
    ]);
    expectError(flag, 'auth/wrong-fingerprint', EXIT.trust, /A{43}/);
    server.child.kill('SIGINT');
    expect((await server.ended).status).toBe(EXIT.interrupted);
  });

  test('too little data, and data of the wrong size, are said before anything is trained', async () => {
    const { server, url } = await serve('data', '--set', 'data.minExamples=2000');
    expectError(await tacit(['join', url, '--data', 'digits']), 'data/too-few-examples', EXIT.data, /1,?297/);
    server.child.kill('SIGINT');
    await server.ended;
    const other = await serve('data2');
    expectError(await tacit(['join', other.url, '--data', 'fashion-mnist']), 'data/wrong-shape', EXIT.data, /28/);
    other.server.child.kill('SIGINT');
    await other.server.ended;
  });

  test('a policy refuses a plan below its floors, and says which', async () => {
    writeFileSync(at('policy.yaml'), 'minCohort: 50\nencoders: [conv]\n');
    const { server, url } = await serve('policy');
    const refused = await tacit(['join', url, '--data', 'digits', '--policy', at('policy.yaml')]);
    expectError(refused, 'policy/refused', EXIT.trust, /cohort is 2; at least 50/);
    expect(refused.stderr).toContain('"mlp" is not allowed');
    writeFileSync(at('policy.yaml'), 'minCohrt: 50\n');
    const invalid = await tacit(['join', url, '--data', 'digits', '--policy', at('policy.yaml')]);
    expectError(invalid, 'policy/invalid', EXIT.usage, /minCohrt: there is no such key/);
    server.child.kill('SIGINT');
    await server.ended;
  });
});

describe('addresses', () => {
  test('nobody is listening', async () => {
    const outcome = await tacit(['join', 'http://127.0.0.1:1', '--data', 'digits', '--retries', '0']);
    expectError(outcome, 'net/unreachable', EXIT.connection, /127\.0\.0\.1:1/);
  });

  test('plain http to another machine, and what is no address', async () => {
    expectError(
      await tacit(['join', 'http://192.0.2.1:8080', '--data', 'digits']),
      'net/insecure',
      EXIT.connection,
      /https/,
    );
    expectError(await tacit(['join', 'coordinator', '--data', 'digits']), 'usage/unknown-flag', EXIT.usage, /address/);
  });

  test('missing data are noticed before a connection is made', async () => {
    const outcome = await tacit(['join', 'http://127.0.0.1:1', '--data', at('nowhere')]);
    expectError(outcome, 'data/not-found', EXIT.data, /nowhere/);
  });

  test('a port that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const outcome = await tacit(['serve', '--plan', 'digits', '--port', String(port), '--out', at('never')]);
    expectError(outcome, 'net/port-in-use', EXIT.connection, new RegExp(String(port)));
    taken.close();
  });

  test('serving plain http to others, and half a TLS configuration', async () => {
    const open = await tacit(['serve', '--plan', 'digits', '--host', '0.0.0.0']);
    expectError(open, 'net/insecure', EXIT.connection, /--tls-cert/);
    const half = await tacit(['serve', '--plan', 'digits', '--tls-key', at('key.pem')]);
    expectError(half, 'usage/unknown-flag', EXIT.usage, /belong together/);
  });

  test('a coordinator that speaks other versions', async () => {
    const http = await createHttp({ port: 0 });
    socketListener(http.server, http.policy).onConnection((connection) => {
      connection.onFrame((frame) => {
        const { message } = decodeClientFrame(frame);
        const text = 'only version 9 is spoken here';
        void connection.send(
          encodeFrame({
            type: 'error',
            re: message.id,
            code: 'wire/unsupported-version',
            text,
            supportedVersions: [9],
          }),
        );
      });
    });
    const { url } = await http.listen();
    const outcome = await tacit(['join', url, '--data', 'digits', '--retries', '0']);
    expectError(outcome, 'wire/unsupported-version', EXIT.protocol, /9/);
    await http.close();
  });
});
