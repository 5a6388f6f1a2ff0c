/**
 * PyTorch as a contender: the same steps in a Python child process, which times as many as it is asked for.
 * Python is TACIT_PYTHON or `python3`; without torch there is no contender.
 */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Contender, Contenders, Run } from './engine-contender.ts';
import type { StepName } from './engine-steps.ts';

type Layout = 'torch' | 'torch-channels-last';

const SOURCE = `
import sys, time, json, torch
import torch.nn as nn, torch.nn.functional as F
step_name, threads, layout = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(threads); torch.manual_seed(0)
B = 64
def projector(width): return [nn.Linear(width, 256, bias=False), nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 128)]
class Mean(nn.Module):
    def forward(self, x): return x.mean((2, 3))
def conv_norm(c, f, k, s): return nn.Sequential(nn.Conv2d(c, f, k, s, k // 2, bias=False), nn.GroupNorm(8, f))
class Block(nn.Module):
    def __init__(self, c, f, s):
        super().__init__()
        self.first, self.second = conv_norm(c, f, 3, s), conv_norm(f, f, 3, 1)
        self.shortcut = nn.Identity() if s == 1 and c == f else conv_norm(c, f, 1, s)
    def forward(self, x): return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))
if step_name == 'simclr-conv4':
    layers, c = [], 3
    for f, s in zip([32, 64, 128, 128], [1, 2, 2, 1]):
        layers += [nn.Conv2d(c, f, 3, s, 1, bias=False), nn.GroupNorm(8, f), nn.ReLU()]; c = f
    model = nn.Sequential(*layers, Mean(), *projector(128))
    images = torch.rand(B, 3, 32, 32)
elif step_name == 'vicreg-resnet8':
    model = nn.Sequential(conv_norm(1, 32, 3, 1), nn.ReLU(), Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2), Mean(), *projector(128))
    images = torch.rand(B, 1, 28, 28)
else:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 256, bias=False), nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 256, bias=False),
                          nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 128), *projector(128))
    images = torch.rand(B, 1, 8, 8)
if layout == 'torch-channels-last':
    model = model.to(memory_format=torch.channels_last); images = images.contiguous(memory_format=torch.channels_last)
optimiser = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
others = 1 - torch.eye(2 * B)
def simclr(z):
    z = F.normalize(z); logits = (z @ z.T - 1) / 0.5
    return (torch.exp(logits) * others).sum(1).log().mean() - (((z[:B] * z[B:]).sum(1) - 1) / 0.5).mean()
def spectral(z, mu=4.0):
    z = z * (mu ** 0.5 / torch.sqrt(torch.clamp((z * z).sum(1, keepdim=True), min=mu)))
    r = z.T @ z / (2 * B)
    return (z[:B] * z[B:]).sum() * (-2 / B) + (r * r).sum()
def spread(z):
    c = z - z.mean(0); covariance = c.T @ c / (B - 1)
    hinge = F.relu(1 - torch.sqrt(c.square().sum(0) / (B - 1) + 1e-4)).mean()
    return 25 * hinge + (covariance * off_diagonal).square().sum() / z.shape[1]
off_diagonal = 1 - torch.eye(128)
def vicreg(z): return 25 * F.mse_loss(z[:B], z[B:]) + spread(z[:B]) + spread(z[B:])
loss_of = {'simclr-conv4': simclr, 'vicreg-resnet8': vicreg, 'spectral-mlp': spectral}[step_name]
def step():
    optimiser.zero_grad(set_to_none=True)
    loss = loss_of(model(torch.cat([images, images])))
    loss.backward(); optimiser.step()
    return loss.item()
print(json.dumps({'version': torch.__version__}), flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        t, c = time.perf_counter(), time.process_time(); step()
        times.append({'ms': (time.perf_counter() - t) * 1000, 'cpuMs': (time.process_time() - c) * 1000})
    print(json.dumps({'runs': times}), flush=True)
`;

const python = (): string => process.env.TACIT_PYTHON ?? 'python3';

let version: Promise<string | undefined> | undefined;

/** The version of torch that Python can import, if any; looked for once. */
export function torchVersion(): Promise<string | undefined> {
  version ??= new Promise((resolve) => {
    execFile(python(), ['-c', 'import torch; print(torch.__version__)'], (error, stdout) => {
      resolve(error ? undefined : stdout.trim());
    });
  });
  return version;
}

/** A child process that holds the step's model. */
async function torchStep(step: StepName, layout: Layout, threads: number): Promise<Contender> {
  const child: ChildProcessWithoutNullStreams = spawn(python(), ['-u', '-c', SOURCE, step, String(threads), layout]);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let trouble = '';
  child.stderr.on('data', (chunk: Buffer) => {
    trouble += chunk.toString();
  });
  const answer = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`PyTorch ended: ${trouble.trim().split('\n').at(-1)}`);
    return JSON.parse(value) as Record<string, unknown>;
  };
  await answer();
  return {
    engine: layout,
    threads,
    measure: async (runs) => {
      child.stdin.write(`${runs}\n`);
      return (await answer()).runs as Run[];
    },
    close: () => {
      child.kill();
    },
  };
}

/** Both layouts at each number of threads. */
export const torch: Contenders = async (step, threads) => {
  if ((await torchVersion()) === undefined) return [];
  const all = threads.flatMap((count) =>
    (['torch', 'torch-channels-last'] as const).map((name) => [name, count] as const),
  );
  return Promise.all(all.map(([layout, count]) => torchStep(step, layout, count)));
};
