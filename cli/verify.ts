/** What `tacit verify` does: every offer, link, signature and stored model of a run, from the first round to the last. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointName, RUN_FILES } from '../learning/run-folder.ts';
import { equalBytes, toHex } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { fingerprintOf } from '../protocol/identity.ts';
import { decodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays, NDArray } from '../protocol/tensors.ts';
import { type Link, linkFromJson, verifyTranscript } from '../protocol/transcript.ts';
import type { VerifyOptions } from './commands/verify.ts';
import type { Context } from './context.ts';
import { formatCount } from './units.ts';

async function read(run: string, name: string): Promise<Buffer> {
  return readFile(join(run, name)).catch((cause: NodeJS.ErrnoException) => {
    throw new TacitError('run/not-found', `${run} holds no ${name} (${cause.code}).`, {
      where: join(run, name),
      hint: 'Name the folder that `tacit start`, `tacit serve` or `tacit simulate` wrote.',
      cause,
    });
  });
}

interface Transcript {
  readonly links: readonly Link[];
  readonly serverKey: Uint8Array;
}

async function readTranscript(run: string): Promise<Transcript> {
  const text = (await read(run, RUN_FILES.transcript)).toString('utf8').trim();
  if (text === '') {
    throw new TacitError('run/not-found', `${join(run, RUN_FILES.transcript)} holds no round`, {
      hint: 'The run ended before its first round was committed, or the file was emptied.',
    });
  }
  const lines = text.split('\n');
  const links = lines.map((line, i) => {
    try {
      return linkFromJson(line);
    } catch (cause) {
      throw new TacitError('wire/malformed', `line ${i + 1} is not a link of a transcript`, {
        where: `${join(run, RUN_FILES.transcript)}:${i + 1}`,
        hint:
          i + 1 === lines.length
            ? 'The last line was cut short or edited; the rounds before it can be verified without it.'
            : 'The line was edited: a transcript is only good as it was written.',
        cause,
      });
    }
  });
  const { serverKey } = links[0]!;
  const other = links.findIndex((link) => !equalBytes(link.serverKey, serverKey));
  if (other >= 0) throw new TacitError('auth/forked-transcript', `round ${other + 1} names another coordinator`);
  return { links, serverKey };
}

const changed = (file: string): TacitError =>
  new TacitError('wire/hash-mismatch', `${file} is not the model of the transcript`, { where: file });

/** What was held against the links. */
interface Checked {
  readonly models: number;
  /** Whether the encoder could be compared with the model of the last round, which must be there for it. */
  readonly encoder: boolean;
}

/** The models that are kept in the folder, held against the links, and the encoder against the last of them. */
async function checkModels(run: string, links: readonly Link[]): Promise<Checked> {
  let models = 0;
  let last: Uint8Array | undefined;
  for (const [round, { commit }] of links.entries()) {
    const path = join(run, RUN_FILES.checkpoints, checkpointName(round + 1));
    last = await readFile(path).catch(() => undefined);
    if (!last) continue;
    if (!equalBytes(await nodeCrypto.sha256(last), commit.modelHash)) throw changed(path);
    models += 1;
  }
  return { models, encoder: await checkEncoder(run, links, last) };
}

/** The encoder has a file of its own, which no link names: it must say which model it is of, and be what that model holds. */
async function checkEncoder(run: string, links: readonly Link[], model: Uint8Array | undefined): Promise<boolean> {
  const path = join(run, RUN_FILES.encoder);
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes) return false;
  const { arrays, metadata } = decodeSafetensors(new Uint8Array(bytes));
  if (metadata.modelHash !== toHex(links.at(-1)!.commit.modelHash)) throw changed(path);
  if (!model) return false;
  if (!isEncoderOf(arrays, decodeSafetensors(new Uint8Array(model)).arrays)) throw changed(path);
  return true;
}

function isEncoderOf(encoder: NamedArrays, model: NamedArrays): boolean {
  const names = Object.keys(model).filter((name) => name.startsWith('encoder/'));
  const same = (a: NDArray | undefined, b: NDArray): boolean =>
    a !== undefined && a.shape.join() === b.shape.join() && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
  return names.length === Object.keys(encoder).length && names.every((name) => same(encoder[name], model[name]!));
}

const bytesOf = ({ data }: NDArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** @throws TacitError auth/forked-transcript, auth/bad-signature, auth/wrong-fingerprint, wire/hash-mismatch, run/not-found */
export async function verify(context: Context, options: VerifyOptions, run: string): Promise<void> {
  const { links, serverKey } = await readTranscript(run);
  const fingerprint = await fingerprintOf(nodeCrypto, serverKey);
  if (options.fingerprint !== undefined && options.fingerprint !== fingerprint) {
    throw new TacitError('auth/wrong-fingerprint', `the transcript is signed by ${fingerprint}`, {
      where: `--fingerprint ${options.fingerprint}`,
    });
  }
  const planHash = await nodeCrypto.sha256(await read(run, RUN_FILES.plan));
  const head = await verifyTranscript(nodeCrypto, { serverKey, planHash }, links);
  const { models, encoder } = await checkModels(run, links);
  const participants = links.map(({ commit }) => commit.participants);
  const modelHash = toHex(links.at(-1)!.commit.modelHash);
  const fewest = Math.min(...participants);
  context.result(
    {
      rounds: links.length,
      head: toHex(head),
      planHash: toHex(planHash),
      modelHash,
      fingerprint,
      models,
      encoder,
      fewestParticipants: fewest,
    },
    [
      `${formatCount(links.length, 'round')}, each signed by ${fingerprint}${options.fingerprint === undefined ? ' (compare it)' : ''}`,
      `head   ${toHex(head)}`,
      `model  ${modelHash}`,
      `${formatCount(models, 'stored model')}${encoder ? ' and the encoder' : ''} as signed; ${fewest} participants or more in every round`,
    ].join('\n'),
  );
}
