/** Node participants against a real coordinator over real sockets: leaving, restarts, TLS, and everything that must be refused. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type JoinResult, joinFromNode, type NodeJoinOptions, type ParticipantEvent } from '../../client/index.ts';
import { createPool } from '../../learning/pool/pool.ts';
import type { TrainingPool } from '../../learning/pool/scheduler.ts';
import { type ServeOptions, serve, type TacitServer } from '../../server/index.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../unit/client/node/certificate.ts';

const PLAN = {
  version: 1,
  task: 'join-test',
  seed: 5,
  data: { shape: [8, 8, 1], minExamples: 16 },
  encoder: { name: 'mlp', hidden: [32], dim: 16 },
  pretext: { name: 'spectral', projector: { hidden: [32], dim: 16 } },
  augmentation: { name: 'image' },
  training: { steps: 3, batch: 16, optimiser: { name: 'sgd', learningRate: 0.01 } },
  rounds: { count: 3, cohort: 2, minReports: 2, overSelection: 1, waitForAll: true },
  privacy: { mode: 'sealed', clipNorm: 10 },
};

let pool: TrainingPool;
let folder = '';
beforeAll(async () => {
  pool = await createPool({ workers: 1 });
  folder = await mkdtemp(join(tmpdir(), 'tacit-test-'));
});
afterAll(async () => {
  await pool.close();
  await rm(folder, { recursive: true });
});

const open = new Set<TacitServer>();
afterEach(async () => {
  for (const server of open) await server.stop();
  open.clear();
});

async function start(options: Partial<ServeOptions> = {}): Promise<TacitServer> {
  const server = await serve({ plan: PLAN, port: 0, joinPage: false, waitFor: 2, ...options });
  open.add(server);
  return server;
}

async function stop(server: TacitServer): Promise<void> {
  open.delete(server);
  await server.stop();
}

const digits = (share: number): NodeJoinOptions['data'] => ({
  kind: 'bundled',
  name: 'digits',
  split: 'train',
  indices: Int32Array.from({ length: 64 }, (_, i) => share * 64 + i),
});

const take = (url: string, share: number, changes: Partial<NodeJoinOptions> = {}): Promise<JoinResult> =>
  joinFromNode({ url, data: digits(share), trainer: pool, proxy: false, ...changes });

const refusal = (code: string) => expect.objectContaining({ code });

describe('tacit/client in Node', () => {
  it('takes part to the end, and every participant keeps the same model', async () => {
    const server = await start();
    const run = server.run();
    const results = await Promise.all([take(server.joinUrl, 0), take(server.joinUrl, 1)]);
    const { modelHash, model } = await run;
    for (const { finalModel, ...result } of results) {
      expect(result).toMatchObject({ ended: 'finished', rounds: 3, reports: 3, modelHash });
      expect(Buffer.compare(finalModel!, model)).toBe(0);
    }
  });

  it('over TLS with an authority of its own', async () => {
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    await Promise.all([writeFile(cert, CERTIFICATE), writeFile(key, CERTIFICATE_KEY, { mode: 0o600 })]);
    const server = await start({ tls: { cert, key } });
    expect(server.joinUrl).toMatch(/^https:/);
    await expect(take(server.joinUrl, 0)).rejects.toThrow(refusal('net/tls'));
    const run = server.run();
    const both = [take(server.joinUrl, 0, { ca: CERTIFICATE }), take(server.joinUrl, 1, { ca: CERTIFICATE })];
    expect((await Promise.all(both)).map(({ ended }) => ended)).toEqual(['finished', 'finished']);
    await run;
  });

  it('survives a coordinator that is stopped and started again, as the same participants', async () => {
    const dataDir = join(folder, 'coordinator');
    const plan = { ...PLAN, rounds: { ...PLAN.rounds, count: 6 } };
    const firstJoined: string[] = [];
    const first = await start({ plan, dataDir });
    const { port, joinUrl } = first;
    const events: ParticipantEvent[] = [];
    let twoRounds: () => void = () => {};
    const reached = new Promise<void>((resolve) => {
      twoRounds = resolve;
    });
    const onEvent = (event: ParticipantEvent): void => {
      events.push(event);
      if (event.type === 'joined') firstJoined.push(event.participant);
      if (event.type === 'committed' && event.round === 1) twoRounds();
    };
    const retrying = { retries: 50, backoff: { firstMs: 20, maxMs: 100 } };
    const runs = [first.run().catch(() => {})];
    const participants = [
      take(joinUrl, 0, { ...retrying, onEvent, folder: join(folder, 'p0'), identity: join(folder, 'p0.json') }),
      take(joinUrl, 1, retrying),
    ];
    await reached;
    await stop(first);
    const second = await start({ plan, dataDir, port });
    const run = second.run();
    runs.push(run.then(() => {}));
    const results = await Promise.all(participants);
    const { modelHash, rounds } = await run;
    expect(rounds).toBe(6);
    for (const result of results) expect(result).toMatchObject({ ended: 'finished', rounds: 6, modelHash });
    expect(new Set(firstJoined).size).toBe(1);
    expect(firstJoined.length).toBeGreaterThan(1);
    const committed = events.flatMap((e) => (e.type === 'committed' ? [e.round] : []));
    expect(committed).toEqual([...new Set(committed)].sort((a, b) => a - b));
    await Promise.all(runs);
  });

  it('leaves when it is told to, in the middle of training', async () => {
    const plan = { ...PLAN, training: { ...PLAN.training, steps: 5000 } };
    const server = await start({ plan });
    server.run().catch(() => {});
    const leave = new AbortController();
    let steps = 0;
    let training: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      training = resolve;
    });
    const leaver = take(server.joinUrl, 0, {
      trainer: undefined,
      signal: leave.signal,
      onEvent: (event) => {
        if (event.type !== 'training') return;
        steps = event.step;
        training();
      },
    });
    const other = new AbortController();
    const stayer = take(server.joinUrl, 1, { signal: other.signal });
    await begun;
    leave.abort();
    expect(await leaver).toMatchObject({ ended: 'left', reports: 0 });
    expect(steps).toBeLessThan(plan.training.steps);
    other.abort();
    expect(await stayer).toMatchObject({ ended: 'left' });
  });
});

describe('what is refused, and how', () => {
  it('nobody listening', async () => {
    const probe = createServer();
    const port = await new Promise<number>((resolve) => {
      probe.listen(0, '127.0.0.1', () => resolve((probe.address() as { port: number }).port));
    });
    await new Promise((resolve) => probe.close(resolve));
    await expect(take(`http://127.0.0.1:${port}`, 0, { retries: 0 })).rejects.toThrow(refusal('net/unreachable'));
  });

  it('plain http to another machine', async () => {
    await expect(take('http://192.0.2.1:8080', 0)).rejects.toThrow(refusal('net/insecure'));
  });

  it('a coordinator with another fingerprint than the address or the flag says', async () => {
    const server = await start();
    server.run().catch(() => {});
    const wrong = 'A'.repeat(43);
    await expect(take(`${server.url}/#srv=${wrong}`, 0)).rejects.toThrow(refusal('auth/wrong-fingerprint'));
    await expect(take(server.url, 0, { fingerprint: wrong })).rejects.toThrow(refusal('auth/wrong-fingerprint'));
  });

  it('data that do not fit the plan, before the first round', async () => {
    const server = await start();
    server.run().catch(() => {});
    const few: NodeJoinOptions['data'] = {
      kind: 'bundled',
      name: 'digits',
      split: 'train',
      indices: Int32Array.of(1, 2),
    };
    await expect(take(server.joinUrl, 0, { data: few })).rejects.toThrow(refusal('data/too-few-examples'));
    const path = join(folder, 'pictures');
    await expect(take(server.joinUrl, 0, { data: { kind: 'folder', path } })).rejects.toThrow(
      refusal('data/not-found'),
    );
    await mkdir(path);
    const png = encode({ width: 9, height: 9, data: new Uint8Array(81), channels: 1, depth: 8 });
    for (let i = 0; i < 20; i++) await writeFile(join(path, `${i}.png`), png);
    await expect(take(server.joinUrl, 0, { data: { kind: 'folder', path } })).rejects.toThrow(
      refusal('data/wrong-shape'),
    );
  });
});
