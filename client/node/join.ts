/** Takes part from a Node process: socket.io, node:crypto, a training pool, and files for what must survive a restart. */
import { checkSource } from '../../learning/data/check.ts';
import type { SourceSpec } from '../../learning/data/source.ts';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { createPool } from '../../learning/pool/pool.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { TacitError } from '../../protocol/errors.ts';
import { type Identity, identityFromSeed } from '../../protocol/identity.ts';
import { openIdentityFile } from '../../protocol/node/identity-file.ts';
import type { Plan } from '../../protocol/plan.ts';
import { parseAddress } from '../address.ts';
import type { JoinOptions, JoinResult, NamedTrainer } from '../join-options.ts';
import { checkOwnership } from '../own-certificate.ts';
import { joinFederation } from '../participant.ts';
import { connectSocket } from './connect.ts';
import { folderStore } from './folder-store.ts';

type Shared = Pick<
  JoinOptions,
  | 'task'
  | 'fingerprint'
  | 'certificate'
  | 'policy'
  | 'seed'
  | 'retries'
  | 'backoff'
  | 'store'
  | 'keepModel'
  | 'onEvent'
  | 'signal'
>;

export interface NodeJoinOptions extends Shared {
  /** `https://host:port`, or `http://` for this machine; `#srv=…` at its end pins the coordinator's fingerprint. */
  readonly url: string;
  /** The private images. */
  readonly data: SourceSpec;
  /** An identity, or the path of an identity file that is made on first use. Default: a new identity for this call. */
  readonly identity?: Identity | string | undefined;
  /** Folder for the notebook and what is kept between rounds; default: kept in memory only. */
  readonly folder?: string | undefined;
  /** PEM of certificate authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** HTTP proxy; default: HTTPS_PROXY and NO_PROXY. `false`: none. */
  readonly proxy?: string | false | undefined;
  readonly engine?: EngineChoice | undefined;
  /** A training pool to share with other participants of this process; default: one of its own with one worker. */
  readonly trainer?: NamedTrainer | undefined;
}

async function identityFrom(given: Identity | string | undefined): Promise<Identity> {
  if (given === undefined) return identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));
  return typeof given === 'string' ? openIdentityFile(given) : given;
}

/** Examples that are decoded before the first round, so that data of another size are found out early. */
const LOOKED_AT = 64;

/** @throws TacitError data/*, with the first reason why the data do not fit the plan */
async function requireFit(data: SourceSpec, plan: Plan): Promise<void> {
  const { problems } = await checkSource(data, plan.data, { limit: LOOKED_AT });
  const [first] = problems;
  if (first) throw new TacitError(first.code, first.message, first);
}

/**
 * Joins the federation at `url` and takes part until the run has finished or `signal` aborts (then within two seconds).
 * @throws TacitError net/*, auth/*, policy/refused, data/*, engine/unavailable
 */
export async function joinFromNode(options: NodeJoinOptions): Promise<JoinResult> {
  const { url, data, identity: given, folder, ca, proxy, engine, trainer, ...shared } = options;
  const address = parseAddress(url);
  const identity = await identityFrom(given);
  if (options.certificate) checkOwnership(options.certificate, identity, Date.now() / 1000);
  const pool = trainer ?? (await createPool({ workers: 1, ...(engine ? { engine } : {}) }));
  try {
    return await joinFederation({
      ...shared,
      fingerprint: options.fingerprint ?? address.fingerprint,
      identity,
      crypto: nodeCrypto,
      platform: 'node',
      trainer: pool,
      source: data,
      store: options.store ?? (folder === undefined ? undefined : folderStore(folder)),
      connect: (signal) =>
        connectSocket(address.url.origin, {
          signal,
          ...(ca === undefined ? {} : { ca }),
          ...(proxy === undefined ? {} : { proxy }),
        }),
      checkData: (plan) => requireFit(data, plan),
    });
  } finally {
    if ('close' in pool && !trainer) await (pool as { close(): Promise<void> }).close();
  }
}
