/** Participants whose process the system kills in the middle of a masked round, over real sockets: the others commit it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type JoinResult, joinFromNode, type NodeJoinOptions } from '../../client/index.ts';
import { createPool } from '../../learning/pool/pool.ts';
import type { TrainingPool } from '../../learning/pool/scheduler.ts';
import { serve, type TacitServer } from '../../server/index.ts';
import { buildOnce, endAll, start } from './cli.ts';

/** Five must be in the sum, so one of six may be lost. */
const planOf = (mode: 'secagg' | 'sealed', trainMs = 60_000) => ({
  version: 1,
  task: 'kill-test',
  seed: 5,
  data: { shape: [8, 8, 1], minExamples: 16 },
  encoder: { name: 'mlp', hidden: [32], dim: 16 },
  pretext: { name: 'spectral', projector: { hidden: [32], dim: 16 } },
  augmentation: { name: 'image' },
  training: { steps: 3, batch: 16, optimiser: { name: 'sgd', learningRate: 0.01 } },
  rounds: { count: 1, cohort: 6, minReports: 5, overSelection: 1, waitForAll: true, trainMs },
  strategy: { name: 'fedavg' },
  privacy: { mode, clipNorm: 10 },
});

const OTHERS = [0, 1, 2, 3, 4];

let dir: string;
let pool: TrainingPool;
beforeAll(async () => {
  buildOnce();
  dir = await mkdtemp(join(tmpdir(), 'tacit-secagg-kill-'));
  pool = await createPool({ workers: 1 });
});
const open: TacitServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.stop({ lingerMs: 0 });
});
afterAll(async () => {
  endAll();
  await pool.close();
  await rm(dir, { recursive: true });
});

const share = (of: number): NodeJoinOptions['data'] => ({
  kind: 'bundled',
  name: 'digits',
  split: 'train',
  indices: Int32Array.from({ length: 64 }, (_, i) => of * 64 + i),
});
const keyOf = (name: string): string => join(dir, `${name}.json`);

const takePart = (url: string, of: number, changes: Partial<NodeJoinOptions> = {}): Promise<JoinResult> =>
  joinFromNode({
    url,
    identity: keyOf(`${of}`),
    seed: `seed ${of}`,
    data: share(of),
    trainer: pool,
    proxy: false,
    ...changes,
  });

async function listen(mode: 'secagg' | 'sealed', waitFor: number): Promise<TacitServer> {
  const settings = { waitFor, graceMs: 300, settleMs: 300 };
  const server = await serve({ plan: planOf(mode), port: 0, joinPage: false, ...settings });
  open.push(server);
  return server;
}

/** The model of the same round without masks, in which nobody is killed. */
async function modelWithoutMasks(killedIsIn: boolean): Promise<string> {
  const server = await listen('sealed', killedIsIn ? 6 : 5);
  const run = server.run();
  const people = OTHERS.map((of) => takePart(server.joinUrl, of));
  if (killedIsIn) people.push(takePart(server.joinUrl, 5, { identity: keyOf('killed'), seed: 'killed' }));
  await Promise.all(people);
  return (await run).modelHash;
}

describe('a participant that is killed', { timeout: 60_000 }, () => {
  test.each([
    ['when it has shared its keys is not in the sum', 'leaving', 5],
    ['when its masked words have arrived is in the sum', 'reported', 6],
  ] as const)('%s, which is the one without masks', async (_what, point, participants) => {
    const server = await listen('secagg', 6);
    const run = server.run();
    const script = fileURLToPath(new URL('fixtures/killed-in-round.mjs', import.meta.url));
    const killed = start([server.joinUrl, keyOf('killed'), point], { script });
    const results = await Promise.all(OTHERS.map((of) => takePart(server.joinUrl, of)));
    expect(await killed.ended).toMatchObject({ signal: 'SIGKILL' });
    const { modelHash, history } = await run;
    expect(history).toMatchObject([{ round: 0, attempt: 0, participants }]);
    for (const result of results) expect(result).toMatchObject({ ended: 'finished', reports: 1, modelHash });
    expect(modelHash).toBe(await modelWithoutMasks(participants === 6));
  });

  test('while everybody trains holds up neither `tacit serve` nor the others', async () => {
    const plan = join(dir, 'plan.json');
    // what is waited for one that is gone is no longer than training may take
    await writeFile(plan, JSON.stringify(planOf('secagg', 6000)));
    const out = join(dir, 'run');
    const server = start(['serve', '--plan', plan, '--port', '0', '--wait-for', '6', '--out', out, '--json']);
    const url = /http:\S+#srv=[\w-]{43}/.exec(await server.until(/#srv=[\w-]{43}/))![0];
    const victim = start(['join', url, '--data', 'digits']);
    const phase = async (): Promise<string> => (await (await fetch(`${new URL(url).origin}/health`)).json()).phase;
    const dead = (async () => {
      await expect.poll(phase, { timeout: 30_000, interval: 20 }).toBe('training'); // all six have accepted
      victim.child.kill('SIGKILL');
      return victim.ended;
    })();
    // the others train until it is dead, so it cannot have come further than its keys
    const trainer: TrainingPool = {
      ...pool,
      run: (name, input, options) => dead.then(() => pool.run(name, input, options)),
    };
    const results = await Promise.all(OTHERS.map((of) => takePart(url, of, { trainer })));
    expect((await dead).signal).toBe('SIGKILL');
    const { status, stdout } = await server.ended;
    expect(status).toBe(0);
    const { history, modelHash, finished } = JSON.parse(stdout);
    expect({ finished, history }).toMatchObject({ finished: true, history: [{ attempt: 0, participants: 5 }] });
    for (const result of results) expect(result).toMatchObject({ ended: 'finished', reports: 1, modelHash });
  });
});
