/** A coordinator with everything around it: HTTP and WebSockets, a durable store and key, logs, metrics and the join page. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { completePlan } from '../learning/registry.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';
import { openIdentityFile } from '../protocol/node/identity-file.ts';
import { createCoordinator } from './coordinator.ts';
import type { Coordinator, CoordinatorOptions } from './coordinator-options.ts';
import type { CoordinatorEvent, RunResult } from './events.ts';
import { createHttp, type HttpOptions } from './http.ts';
import { createLogger, type Logger, type LogLevel, logEvents } from './log.ts';
import { coordinatorMetrics } from './metrics.ts';
import { socketListener } from './socket-io.ts';
import { lmdbStore } from './store/lmdb.ts';
import { memoryStore } from './store/memory.ts';

/** How long participants may take to fetch the final model. */
const LINGER_MS = 30_000;

type Own = 'plan' | 'listener' | 'store' | 'identity' | 'crypto';

export interface ServeOptions
  extends Omit<CoordinatorOptions, Own>,
    Pick<HttpOptions, 'host' | 'tls' | 'behindProxy' | 'origins' | 'maxConnections'> {
  /** A plan as an object; it is checked and completed. */
  readonly plan: unknown;
  /** 0: any free port. Default 8080. */
  readonly port?: number;
  /** Folder for the store and the coordinator's key. Without one, both are gone with the process. */
  readonly dataDir?: string;
  /** The coordinator's key, if it is kept elsewhere. */
  readonly identity?: Identity;
  /** Folder of the built join page; default: the one that comes with the package; false: none. */
  readonly joinPage?: string | false;
  /** A logger like pino's, or a level at which to log JSON lines to standard error; participants appear by a hash. Default: none. */
  readonly log?: Logger | LogLevel;
}

export interface TacitServer {
  readonly coordinator: Coordinator;
  readonly url: string;
  readonly port: number;
  /** What participants pin. */
  readonly fingerprint: Fingerprint;
  /** The address with the fingerprint, to be given to participants. */
  readonly joinUrl: string;
  /** Runs to the last round of the plan, or until `stop`. */
  run(): Promise<RunResult>;
  /**
   * Ends the round that is under way, all connections, and the store. After the last round it first waits, at most `lingerMs`
   * (default 30 s), until the participants have fetched the final model.
   */
  stop(options?: { readonly lingerMs?: number }): Promise<void>;
}

/** The folder of package.json: the sources and dist/ are at different depths below it. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json')) && dirname(dir) !== dir) dir = dirname(dir);
  return dir;
}

async function identityOf({ identity, dataDir }: ServeOptions): Promise<Identity> {
  if (identity) return identity;
  if (dataDir !== undefined) return openIdentityFile(join(dataDir, 'identity.json'));
  return identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));
}

/**
 * Starts to listen; the first round begins with `run()`.
 *
 * @example
 * const server = await serve({ plan, port: 8080, dataDir: 'coordinator' });
 * console.log(`join at ${server.joinUrl}`);
 * const { modelHash, model } = await server.run();
 * await server.stop();
 *
 * @throws TacitError plan/invalid, plan/unknown-name, plan/refused, net/port-in-use, net/insecure, net/tls, run/store, auth/bad-key
 */
export async function serve(options: ServeOptions): Promise<TacitServer> {
  const { plan: given, port = 8080, dataDir, joinPage, log, onEvent, ...others } = options;
  const plan = completePlan(given);
  const identity = await identityOf(options);
  const fingerprint = await fingerprintOf(nodeCrypto, identity.publicKey);
  const root = packageRoot();
  const page = joinPage ?? join(root, 'dist', 'client', 'browser', 'page');
  const listeners: ((event: CoordinatorEvent) => void)[] = [];
  const http = await createHttp({
    ...others,
    port,
    ...(page === false ? {} : { joinPage: page }),
    data: join(root, 'data'),
    info: () => coordinator.info(),
    health: () => ({ ...coordinator.status }),
    metrics: () => metrics.text(),
  });
  const store = dataDir === undefined ? memoryStore() : await lmdbStore(join(dataDir, 'store'));
  const coordinator = createCoordinator({
    ...others,
    plan,
    identity,
    store,
    crypto: nodeCrypto,
    listener: socketListener(http.server, { ...http.policy, behindProxy: options.behindProxy ?? false }),
    onEvent: (event) => {
      for (const listener of listeners) listener(event);
    },
  });
  const metrics = coordinatorMetrics(() => coordinator.status);
  listeners.push(
    metrics.onEvent,
    ...(log ? [logEvents(typeof log === 'string' ? createLogger(log) : log)] : []),
    ...(onEvent ? [onEvent] : []),
  );
  const { url, port: bound } = await http.listen().catch(async (thrown: unknown) => {
    await store.close();
    throw thrown;
  });
  return {
    coordinator,
    url,
    port: bound,
    fingerprint,
    joinUrl: `${url}/#srv=${fingerprint}`,
    run: () => coordinator.run(),
    stop: async ({ lingerMs = LINGER_MS } = {}) => {
      if (coordinator.status.phase === 'finished') await coordinator.drained(lingerMs);
      await coordinator.stop();
      await http.close();
      await store.close();
    },
  };
}
