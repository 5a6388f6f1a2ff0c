/**
 * A run folder: what a federated run leaves behind, as plain files that people and other programs can read.
 *   plan.json            the resolved plan, byte for byte as it was sent (its SHA-256 is the plan hash)
 *   metrics.jsonl        one JSON object per round and per measurement
 *   transcript.jsonl     one JSON object per committed round: its offer, its signed link and the key that signed it
 *   checkpoints/         round-000012.safetensors: all aggregated parameters after that round
 *   encoder.safetensors  the final encoder (names `encoder/…`), with the plan in its metadata
 *   report.html          the report;  result.json: the result, as the CLI prints it with --json
 * Node only. A run that is already in the folder is moved to `previous/1`, `previous/2`, …: nothing is overwritten.
 */
import { appendFile, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import { type Link, linkToJson } from '../protocol/transcript.ts';
import { completePlan } from './registry.ts';

/** Names of the files of a run, relative to its folder. */
export const RUN_FILES = {
  plan: 'plan.json',
  metrics: 'metrics.jsonl',
  transcript: 'transcript.jsonl',
  checkpoints: 'checkpoints',
  encoder: 'encoder.safetensors',
  report: 'report.html',
  result: 'result.json',
} as const;

/** The open end of a run folder; each call returns once the bytes are handed to the file system. */
export interface RunWriter {
  readonly dir: string;
  /** Appends one line to metrics.jsonl. */
  metrics(values: Readonly<Record<string, unknown>>): Promise<void>;
  /** Appends links to transcript.jsonl; the link of the first round begins it anew. */
  transcript(links: readonly Link[], serverKey: Uint8Array): Promise<void>;
  /** Stores a safetensors file as checkpoints/round-NNNNNN.safetensors. */
  checkpoint(round: number, bytes: Uint8Array): Promise<void>;
  /** Stores the final encoder; the plan is added to `metadata`, so that the file can be used without its folder. */
  finalEncoder(encoder: NamedArrays | Uint8Array, metadata?: Readonly<Record<string, string>>): Promise<void>;
  report(html: string): Promise<void>;
  result(value: unknown): Promise<void>;
}

/** A trained encoder with the plan that it was trained under. */
export interface OpenRun {
  /** The folder or the file that was opened. */
  readonly path: string;
  readonly plan: Plan;
  /** The plan's bytes as they were sent; undefined when the plan came from elsewhere. */
  readonly planBytes: Uint8Array | undefined;
  /** Parameters of the encoder, `encoder/…`. */
  readonly model: NamedArrays;
  /** Parameters of a classifier's head, `head/…`, where the file is one that `tacit finetune` wrote; otherwise empty. */
  readonly head: NamedArrays;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The bytes in which a plan is stored and sent: compact JSON, keys in the schema's order. */
export const planBytesOf = (plan: Plan): Uint8Array => new TextEncoder().encode(JSON.stringify(plan));

const causeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown);

async function stored<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (thrown) {
    if (thrown instanceof TacitError) throw thrown;
    throw new TacitError('run/store', `Cannot write ${path} (${causeOf(thrown)}).`, {
      where: path,
      hint: 'Name a folder that can be written with --out DIR.',
      cause: thrown,
    });
  }
}

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A process that is killed while it writes leaves the file as it was, or none; half a model would look like a damaged one. */
async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const beside = `${path}.new`;
  await writeFile(beside, content);
  await rename(beside, path);
}

async function moveAside(dir: string): Promise<void> {
  if (!(await exists(join(dir, RUN_FILES.plan)))) return;
  await mkdir(join(dir, 'previous'), { recursive: true });
  const numbers = (await readdir(join(dir, 'previous'))).map(Number).filter(Number.isInteger);
  const target = join(dir, 'previous', String(Math.max(0, ...numbers) + 1));
  await mkdir(target);
  for (const name of Object.values(RUN_FILES)) {
    if (await exists(join(dir, name))) await rename(join(dir, name), join(target, name));
  }
}

/**
 * Starts a run folder. With `resume`, a run under the same plan is continued instead of moved aside.
 * @param plan the resolved plan, or its bytes as they are sent
 * @throws TacitError run/store when the folder cannot be written
 */
export async function createRun(
  dir: string,
  plan: Plan | Uint8Array,
  { resume = false }: { resume?: boolean } = {},
): Promise<RunWriter> {
  const bytes = plan instanceof Uint8Array ? plan : planBytesOf(plan);
  const at = (...names: string[]): string => join(dir, ...names);
  const write = (name: string, content: string | Uint8Array) => stored(at(name), () => writeWhole(at(name), content));
  await stored(dir, async () => {
    await mkdir(dir, { recursive: true });
    const held = await readFile(at(RUN_FILES.plan)).catch(() => undefined);
    if (!(resume && held?.equals(bytes))) await moveAside(dir);
    await mkdir(at(RUN_FILES.checkpoints), { recursive: true });
    await writeWhole(at(RUN_FILES.plan), bytes);
    await appendFile(at(RUN_FILES.metrics), '');
  });
  return {
    dir,
    metrics: (values) =>
      stored(at(RUN_FILES.metrics), () => appendFile(at(RUN_FILES.metrics), `${JSON.stringify(values)}\n`)),
    transcript: (links, serverKey) => {
      const lines = links.map((link) => `${linkToJson({ ...link, serverKey })}\n`).join('');
      const put = links[0]?.offer.round === 0 ? writeFile : appendFile;
      return stored(at(RUN_FILES.transcript), () => put(at(RUN_FILES.transcript), lines));
    },
    checkpoint: (round, model) => write(join(RUN_FILES.checkpoints, checkpointName(round)), model),
    finalEncoder: (encoder, metadata = {}) => {
      const { arrays, metadata: own } =
        encoder instanceof Uint8Array ? decodeSafetensors(encoder) : { arrays: encoder, metadata: {} };
      const all = { ...own, ...metadata, plan: new TextDecoder().decode(bytes) };
      return write(RUN_FILES.encoder, encodeSafetensors(groupOf('encoder', arrays), all));
    },
    report: (html) => write(RUN_FILES.report, html),
    result: (value) => write(RUN_FILES.result, `${JSON.stringify(value, null, 2)}\n`),
  };
}

/** Name of the checkpoint of a round, counted from 1, within `checkpoints`. */
export const checkpointName = (round: number): string => `round-${String(round).padStart(6, '0')}.safetensors`;

const groupOf = (group: 'encoder' | 'head', arrays: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => name.startsWith(`${group}/`)));

async function readOr(path: string, missing: () => TacitError): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (thrown) {
    if (causeOf(thrown) === 'ENOENT' || causeOf(thrown) === 'ENOTDIR') throw missing();
    throw new TacitError('run/store', `Cannot read ${path} (${causeOf(thrown)}).`, { where: path, cause: thrown });
  }
}

function parsePlanBytes(bytes: Uint8Array, where: string): Plan {
  try {
    return completePlan(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (thrown) {
    if (thrown instanceof TacitError) throw thrown;
    throw new TacitError('plan/unreadable', `The stored plan is not JSON: ${String(thrown)}`, { where, cause: thrown });
  }
}

function decodeModel(bytes: Uint8Array, path: string): Pick<OpenRun, 'model' | 'head' | 'metadata'> {
  try {
    const { arrays, metadata } = decodeSafetensors(bytes);
    const model = groupOf('encoder', arrays);
    if (Object.keys(model).length > 0) return { model, head: groupOf('head', arrays), metadata };
    throw new TacitError('weights/mismatch', 'The file holds no tensor whose name starts with "encoder/".');
  } catch (thrown) {
    if (!(thrown instanceof TacitError)) throw thrown;
    const hint =
      'It must be a safetensors file that Tacit wrote: encoder.safetensors of a run folder, or a checkpoint.';
    throw new TacitError(thrown.code, thrown.message, { where: path, hint: thrown.hint ?? hint, cause: thrown });
  }
}

async function openFolder(dir: string): Promise<OpenRun> {
  const missing = (file: string) => () =>
    new TacitError('run/not-found', `${dir} is not a finished run: it has no ${file}.`, {
      where: dir,
      hint: 'Name the folder that `tacit start`, `tacit serve` or `tacit simulate` wrote, or a .safetensors file.',
    });
  const planBytes = await readOr(join(dir, RUN_FILES.plan), missing(RUN_FILES.plan));
  const plan = parsePlanBytes(planBytes, join(dir, RUN_FILES.plan));
  const path = join(dir, RUN_FILES.encoder);
  const decoded = decodeModel(await readOr(path, missing(RUN_FILES.encoder)), path);
  return { path: dir, plan, planBytes, ...decoded };
}

async function openFile(path: string, given: Plan | undefined): Promise<OpenRun> {
  const bytes = await readOr(path, () => new TacitError('run/not-found', `There is no file ${path}.`, { where: path }));
  const decoded = decodeModel(bytes, path);
  const { metadata } = decoded;
  const own = metadata.plan === undefined ? undefined : new TextEncoder().encode(metadata.plan);
  const plan = given ?? (own && parsePlanBytes(own, `${path} (metadata "plan")`));
  if (!plan) {
    throw new TacitError('plan/unreadable', 'The file does not say under which plan it was trained.', {
      where: path,
      hint: 'Name the plan with --plan FILE.',
    });
  }
  return { path, plan, planBytes: given ? undefined : own, ...decoded };
}

/**
 * Opens a run folder or a bare .safetensors file; `plan` replaces the one that the file carries.
 * @throws TacitError run/not-found, weights/malformed, weights/mismatch, plan/unreadable, plan/invalid, run/store
 */
export async function openRun(path: string, plan?: Plan): Promise<OpenRun> {
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    throw new TacitError('run/not-found', `There is no run at ${path}.`, {
      where: path,
      hint: 'Name a run folder or a .safetensors file.',
    });
  }
  if (!found.isDirectory()) return openFile(path, plan);
  const run = await openFolder(path);
  return plan ? { ...run, plan, planBytes: undefined } : run;
}

/** What result.json and metrics.jsonl of a run folder say; nothing for a bare file, or a run that left none. */
export async function readOutcome(path: string): Promise<{
  readonly result: Readonly<Record<string, unknown>>;
  readonly lastRound: Readonly<Record<string, unknown>>;
}> {
  const text = (name: string): Promise<string> => readFile(join(path, name), 'utf8').catch(() => '');
  const parsed = (json: string): Readonly<Record<string, unknown>> => {
    try {
      const value: unknown = JSON.parse(json);
      return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
    } catch {
      return {};
    }
  };
  const lines = (await text(RUN_FILES.metrics)).trimEnd().split('\n').map(parsed);
  return {
    result: parsed(await text(RUN_FILES.result)),
    lastRound: lines.findLast((line) => line.type === 'round') ?? {},
  };
}
