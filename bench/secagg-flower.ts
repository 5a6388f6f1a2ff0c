/**
 * Flower's masks beside ours: `pseudo_rand_gen` of its SecAgg+, for as many peers and words, added to a vector modulo 2³². Its generator
 * has 32 bits of seed; ours is AES-256. Python is TACIT_PYTHON or `python3`; without flwr there is nothing beside.
 */
import { execFile } from 'node:child_process';

const SOURCE = `
import sys, time, json, os, numpy as np
import flwr
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
peers, words, runs = map(int, sys.argv[1:4])
times = []
for _ in range(runs):
    seeds = [os.urandom(32) for _ in range(peers)]
    vector = [np.zeros(words, dtype=np.int64)]
    start = time.perf_counter()
    for seed in seeds:
        vector = parameters_addition(vector, pseudo_rand_gen(seed, 1 << 32, [(words,)]))
    vector = parameters_mod(vector, 1 << 32)
    times.append((time.perf_counter() - start) * 1000)
print(json.dumps({'version': flwr.__version__, 'ms': min(times)}))
`;

export interface FlowerTime {
  readonly version: string;
  readonly ms: number;
}

/** Milliseconds of masking, the least of a few runs; undefined without Python or flwr. */
export const flowerMasks = (peers: number, words: number, runs: number): Promise<FlowerTime | undefined> =>
  new Promise((resolve) => {
    const python = process.env.TACIT_PYTHON ?? 'python3';
    const args = ['-c', SOURCE, String(peers), String(words), String(runs)];
    execFile(python, args, { timeout: 120_000 }, (error, stdout) => {
      resolve(error ? undefined : (JSON.parse(stdout.trim().split('\n').at(-1)!) as FlowerTime));
    });
  });
