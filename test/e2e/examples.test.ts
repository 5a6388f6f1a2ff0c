/** The examples, as a reader of README.md would run them: a coordinator and participants in processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeSafetensors } from '../../protocol/safetensors.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const PLAN = `
version: 1
task: example
data: { shape: [8, 8, 1] }
encoder: { name: mlp, hidden: [16], dim: 8 }
pretext: { name: spectral, projector: { hidden: [16], dim: 8 } }
augmentation: { name: image, crop: [0.5, 1] }
training: { steps: 2, batch: 16, optimiser: { name: adam, learningRate: 0.001 } }
rounds: { count: 2, cohort: 2, overSelection: 1, minReports: 2 }
privacy: { mode: sealed, clipNorm: 20 }
`;

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

function run(folder: string, script: string, ...args: string[]): Run {
  const child = spawn(process.execPath, [join(root, 'examples', script), ...args], { cwd: folder });
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  child.stderr.on('data', (data) => {
    text += data;
  });
  return { child, output: () => text, ended: new Promise((resolve) => child.once('exit', resolve)) };
}

async function seen({ output, child }: Run, pattern: RegExp): Promise<string> {
  for (let i = 0; i < 300; i++) {
    const match = pattern.exec(output());
    if (match) return match[0];
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no ${pattern} in:\n${output()}`);
}

describe('examples', () => {
  let folder = '';
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tacit-examples-'));
    await writeFile(join(folder, 'plan.yaml'), PLAN);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  it('a coordinator and two participants train an encoder together', { timeout: 90_000 }, async () => {
    const port = await freePort();
    const coordinator = run(folder, 'coordinator.mjs', 'plan.yaml', String(port));
    children.push(coordinator.child);
    const url = await seen(coordinator, /http:\/\/\S+#srv=\S+/);
    const participants = [run(folder, 'participant.mjs', url), run(folder, 'participant.mjs', url)];
    children.push(...participants.map(({ child }) => child));

    expect(await coordinator.ended, coordinator.output()).toBe(0);
    for (const participant of participants) {
      expect(await participant.ended, participant.output()).toBe(0);
      expect(participant.output()).toMatch(/finished after 2 rounds, 2 of them with my report/);
    }
    expect(coordinator.output()).toMatch(/round 2: 2 participants/);
    const { arrays } = decodeSafetensors(await readFile(join(folder, 'encoder.safetensors')));
    expect(arrays['encoder/dense0/kernel']?.shape).toEqual([64, 16]);
  });

  it('the inversion recovers an image in the clear and none from a masked report', { timeout: 90_000 }, async () => {
    const inversion = run(folder, 'inversion.mjs', 'inversion.html', 'quick');
    children.push(inversion.child);
    expect(await inversion.ended, inversion.output()).toBe(0);
    expect(inversion.output()).toMatch(/100 % recovered.* one participant in the clear: 1 image, 1 step/);
    expect(inversion.output()).toMatch(/ 0 % recovered.* the masked report of one participant/);
    expect(await readFile(join(folder, 'inversion.html'), 'utf8')).toContain('data:image/png;base64,');
  });
});
