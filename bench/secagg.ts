/**
 * `npm run bench -- secagg`: one participant's masking and the coordinator's unmasking, each beside the time that AES-CTR alone takes for
 * the same keystreams in the same run, on one thread each. Unmasking is all that the coordinator does from the last answer to the sum: it
 * recovers the secrets, agrees on keys with the survivors for those who were lost, and takes the masks off. Sums are checked against
 * plain ones, every coordinate of them.
 * Left out of a sum: the masks that two survivors other than the measured one share, which cancel to the bit whoever adds them.
 * Flags: `--participants 10,50,100,200`, `--dimensions 1e5,1e6`, `--dropouts 0,0.1,0.3`, `--runs 101`.
 */
import { createCipheriv } from 'node:crypto';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Mask } from '../protocol/crypto/masks.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { addWords } from '../protocol/fixed-point.ts';
import { maskKey } from '../protocol/secagg/masks.ts';
import { toleratedDropouts } from '../protocol/secagg/rules.ts';
import { pairInfo, selfInfo } from '../protocol/secagg/statements.ts';
import { createDisputes } from '../server/secagg/disputes.ts';
import { openSum } from '../server/secagg/opening.ts';
import { prepareUnmasking } from '../server/secagg/unmask.ts';
import type { Bench, BenchReport } from './report.ts';
import { flowerMasks } from './secagg-flower.ts';
import { type Cast, HASH, makeCast, playScene, type Scene } from './secagg-scene.ts';

const ZEROS = new Uint8Array(65_536);
/** Keystream that AES alone is timed over at most; beyond, its time is in proportion. */
const MAX_AES_BYTES = 2 ** 32;
/** Of the array that is freed first; 32 MiB is the most by which glibc raises its thresholds. */
const LARGE_BYTES = 30 * 2 ** 20;
/** Time after which a measurement is not repeated. */
const MOST_MS = 2500;

/** Milliseconds of AES-256-CTR alone for so many keystreams of so many words, 64 KiB at a time. */
function aesMs(streams: number, words: number): number {
  const timed = Math.max(1, Math.min(streams, Math.floor(MAX_AES_BYTES / (4 * words))));
  const start = performance.now();
  for (let i = 0; i < timed; i++) {
    const cipher = createCipheriv('aes-256-ctr', nodeCrypto.randomBytes(32), new Uint8Array(16));
    for (let left = 4 * words; left > 0; left -= ZEROS.length) cipher.update(ZEROS.subarray(0, left));
  }
  return ((performance.now() - start) * streams) / timed;
}

/** The words of a participant: ±10⁶, from a hash of participant and place. */
function inputOf(v: number, dimension: number): Int32Array<ArrayBuffer> {
  const words = new Int32Array(dimension);
  for (let i = 0; i < dimension; i++)
    words[i] = (Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(v + 1, 0x85ebca6b)) % 1_000_001;
  return words;
}

/** The masks of the other survivors that do not cancel among them: their own, with the real one, and with the lost. */
async function masksOfOthers({ peers, self }: Cast, { entries, survivors, sessionId }: Scene): Promise<Mask[]> {
  const context = { sessionId, startHash: HASH, planHash: HASH, exchange: 0 };
  const alive = new Set(survivors);
  const masks: Mask[] = [];
  for (const u of survivors) {
    const peer = peers[u];
    if (!peer) continue;
    masks.push({ key: await maskKey(nodeCrypto, peer.b, selfInfo(context, peer.entry.identity)), sign: 1 });
    for (const [v, { identity, maskKeys }] of entries.entries()) {
      if (v !== self && alive.has(v)) continue;
      const shared = await nodeCrypto.x25519(peer.mask.secretKey, maskKeys[0]!);
      const [low, high] = u < v ? [peer.entry.identity, identity] : [identity, peer.entry.identity];
      masks.push({ key: await maskKey(nodeCrypto, shared, pairInfo(context, low, high)), sign: u < v ? 1 : -1 });
    }
  }
  return masks;
}

/** Sum, masks and all, of the survivors; and what it must open to. */
async function sumsOf(cast: Cast, scene: Scene): Promise<{ masked: Int32Array; plain: Int32Array }> {
  const masked = scene.masked.slice();
  const plain = new Int32Array(masked.length);
  for (const v of scene.survivors) {
    const words = inputOf(v, masked.length);
    addWords(plain, words);
    if (v !== cast.self) addWords(masked, words);
  }
  await nodeCrypto.applyMasks(masked, await masksOfOthers(cast, scene));
  return { masked, plain };
}

/** Milliseconds that the coordinator takes to open the sum, from the answers to the words; changes `sum`. */
async function openMs(scene: Scene, sum: Int32Array): Promise<number> {
  const start = performance.now();
  const members = scene.entries.map((_, v) => v);
  const { isOpen } = await openSum(
    {
      ...{ ...scene, crypto: nodeCrypto, exchange: 0, exchanges: [sum.length], members, disputes: createDisputes() },
      ...{ planHash: HASH, startHash: HASH, threads: 1 },
    },
    sum,
  );
  if (!isOpen) throw new Error('the sum could not be opened');
  return performance.now() - start;
}

/**
 * Frees one large array. From then on glibc keeps memory of that size instead of giving it back to the system, as in every process that
 * has held a model. Otherwise a keystream's pieces, which node allocates one by one, are new pages in some runs and old ones in others, and
 * AES's own time for the same bytes is 9 ms or 25.
 */
function settleMemory(): void {
  setFlagsFromString('--expose-gc');
  const sweep = runInNewContext('gc') as () => void;
  new Uint8Array(LARGE_BYTES).fill(1);
  sweep();
}

/** Times of something and of AES alone, turn about: the least of some runs after a first one that does not count. */
async function timed(
  runs: number,
  aes: () => number,
  ours: () => Promise<number>,
): Promise<{ readonly ms: number; readonly aesMs: number }> {
  const [times, aesTimes]: [number[], number[]] = [[], []];
  for (let run = 0, spent = 0; run <= runs && spent < MOST_MS; run++) {
    aesTimes.push(aes());
    times.push(await ours());
    spent += times.at(-1)!;
  }
  const least = (all: readonly number[]): number => Math.min(...(all.length > 1 ? all.slice(1) : all));
  return { ms: least(times), aesMs: least(aesTimes) };
}

async function measure(cast: Cast, dimension: number, dropout: number, runs: number) {
  const lost = Math.min(Math.round(dropout * cast.size), toleratedDropouts(cast.size));
  let scene: Scene | undefined;
  const masking = await timed(
    runs,
    () => aesMs(cast.size, dimension),
    async () => {
      scene = await playScene(cast, lost, inputOf(cast.self, dimension));
      return scene.maskMs;
    },
  );
  const last = scene!;
  const { masked, plain } = await sumsOf(cast, last);
  const survivors = last.survivors.length;
  prepareUnmasking(survivors, lost, dimension, { threads: 1 }); // as the coordinator does once it knows the survivors
  let sum = masked;
  const unmasking = await timed(
    runs,
    () => aesMs(survivors * (1 + lost), dimension),
    () => {
      sum = masked.slice();
      return openMs(last, sum);
    },
  );
  let wrongCoordinates = 0;
  for (let i = 0; i < dimension; i++) if (sum[i] !== plain[i]) wrongCoordinates += 1;
  return {
    ...{ participants: cast.size, dimension, dropout, lost, maskMs: masking.ms, aesMs: masking.aesMs },
    ...{ unmaskMs: unmasking.ms, unmaskAesMs: unmasking.aesMs },
    ...{ bytesPerParticipant: last.bytesSent, bytesReceived: last.bytesReceived, wrongCoordinates },
  };
}

const numbers = (text: string): number[] => text.split(',').map(Number);

export const run: Bench = async (args, { progress, signal }): Promise<BenchReport> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      participants: { type: 'string', default: '10,50,100,200' },
      dimensions: { type: 'string', default: '1e5,1e6' },
      dropouts: { type: 'string', default: '0,0.1,0.3' },
      runs: { type: 'string', default: '101' },
    },
  });
  settleMemory();
  const results: Awaited<ReturnType<typeof measure>>[] = [];
  for (const participants of numbers(values.participants)) {
    const cast = await makeCast(participants);
    for (const dimension of numbers(values.dimensions)) {
      for (const dropout of numbers(values.dropouts)) {
        signal.throwIfAborted();
        const result = await measure(cast, dimension, dropout, Number(values.runs));
        results.push(result);
        const { maskMs, aesMs: aes, unmaskMs, unmaskAesMs, wrongCoordinates } = result;
        progress(
          `n ${participants}  d ${dimension}  lost ${result.lost}  mask ${maskMs.toFixed(1)} ms (AES ${aes.toFixed(1)})  ` +
            `unmask ${unmaskMs.toFixed(1)} ms (AES ${unmaskAesMs.toFixed(1)})  wrong ${wrongCoordinates}`,
        );
      }
    }
  }
  const ratios: Record<string, number> = {};
  for (const { participants: n, dimension: d, dropout, ...r } of results) {
    const name = `n=${n} d=${d} dropout=${dropout}`;
    ratios[`mask/aes ${name}`] = r.maskMs / r.aesMs;
    ratios[`unmask/aes ${name}`] = r.unmaskMs / r.unmaskAesMs;
    ratios[`bytes/float32 ${name}`] = r.bytesPerParticipant / (4 * d);
  }
  const largest = results.find((r) => r.participants === 100 && r.dimension === 1e6);
  const flower = largest && (await flowerMasks(100, 1e6, 2));
  if (largest && !flower) progress('no Python with flwr (TACIT_PYTHON): it is left out');
  if (largest && flower) ratios['flower/ours masks n=100 d=1000000'] = flower.ms / largest.maskMs;
  return { results, ratios, notes: { flower: flower ?? null, threads: 1 } };
};
