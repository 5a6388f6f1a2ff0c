/** What `tacit serve` does: listens, says how to join, runs the rounds, gives the model away, writes the run folder. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { openIdentityFile } from '../client/node/identity-file.ts';
import { bundledFolder } from '../learning/data/bundled.ts';
import { createRun } from '../learning/run-folder.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';
import type { Plan } from '../protocol/plan.ts';
import { createCoordinator } from '../server/coordinator.ts';
import type { Coordinator } from '../server/coordinator-options.ts';
import type { RunResult } from '../server/events.ts';
import { createHttp, type Http } from '../server/http.ts';
import { socketListener } from '../server/socket-io.ts';
import { lmdbStore } from '../server/store/lmdb.ts';
import { memoryStore } from '../server/store/memory.ts';
import { roundWriter } from '../simulations/round-writer.ts';
import type { ServeOptions } from './commands/serve.ts';
import type { Context } from './context.ts';
import { coordinatorLine } from './coordinator-lines.ts';
import { packageRoot } from './package-root.ts';
import { loadPlan } from './plan-file.ts';
import { defaultOut, prepareOut } from './run-options.ts';
import { formatBytes, formatSeconds } from './units.ts';

/** How long the final model is offered to participants that are still there. */
const LINGER_MS = 60_000;

const ownIdentity = (options: ServeOptions): Promise<Identity> => {
  if (options.identity !== undefined) return openIdentityFile(options.identity);
  if (options.dataDir !== undefined) return openIdentityFile(join(options.dataDir, 'identity.json'));
  return identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));
};

async function openHttp(options: ServeOptions, info: () => ReturnType<Coordinator['info']>): Promise<Http> {
  const { tlsCert: cert, tlsKey: key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TacitError('usage/unknown-flag', '--tls-cert and --tls-key belong together.', {
      where: cert === undefined ? '--tls-key' : '--tls-cert',
      hint: 'Give both PEM files, or neither on this machine.',
    });
  }
  const joinPage = join(packageRoot, 'dist', 'client', 'browser', 'page');
  return createHttp({
    host: options.host,
    port: options.port,
    ...(cert !== undefined && key !== undefined ? { tls: { cert, key } } : {}),
    behindProxy: options.behindProxy === true,
    ...(existsSync(join(joinPage, 'index.html')) ? { joinPage } : {}),
    data: bundledFolder,
    info: () => {
      const known = info();
      if (known) return known;
      throw new TacitError('round/cancelled', 'the coordinator is starting or stopping');
    },
  });
}

/** The address that others can use, since a server that listens everywhere knows no name of its own. */
const addressFor = (url: string, host: string): string =>
  host === '0.0.0.0' || host === '::' ? url.replace('localhost', hostname()) : url;

function announce(context: Context, url: string, plan: Plan, fingerprint: string): void {
  const link = `${url}/#srv=${fingerprint}`;
  context.announce(
    [
      `task ${plan.task}: ${plan.rounds.count} rounds, ${plan.rounds.cohort} participants in each (at least ${plan.rounds.minReports})`,
      `join from a browser:   ${link}`,
      `join from a terminal:  tacit join '${link}' --data FOLDER`,
    ].join('\n'),
  );
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

const aWhile = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

/** The coordinator's life: until its last round and the last participant has left, or until the signal. */
async function conduct(context: Context, coordinator: Coordinator, everybodyLeft: Promise<void>): Promise<RunResult> {
  const stop = (): void => void coordinator.stop();
  context.signal.addEventListener('abort', stop, { once: true });
  if (context.signal.aborted) stop();
  try {
    const result = await coordinator.run();
    if (result.finished && coordinator.status.participants > 0) {
      context.progress.live('finished; participants may fetch the final model');
      await Promise.race([everybodyLeft, aborted(context.signal), aWhile(LINGER_MS)]);
    }
    return result;
  } finally {
    await coordinator.stop();
  }
}

/** Coordinates one run. @throws TacitError net/port-in-use, net/insecure, run/failed, run/store, and those of the plan */
export async function serve(context: Context, options: ServeOptions): Promise<void> {
  const plan = await loadPlan(options.plan, { overrides: options.set, seed: options.seed });
  const identity = await ownIdentity(options);
  const fingerprint = await fingerprintOf(nodeCrypto, identity.publicKey);
  let coordinator: Coordinator | undefined;
  const http = await openHttp(options, () => coordinator?.info());
  const { url } = await http.listen();
  try {
    const out = await prepareOut(options.out ?? defaultOut(plan.task));
    const run = await createRun(out, plan, { resume: options.dataDir !== undefined });
    const store = options.dataDir === undefined ? memoryStore() : await lmdbStore(join(options.dataDir, 'store'));
    const writer = roundWriter(run, context.io, plan);
    let nobodyIsLeft = (): void => {};
    const everybodyLeft = new Promise<void>((resolve) => {
      nobodyIsLeft = resolve;
    });
    coordinator = createCoordinator({
      plan,
      listener: socketListener(http.server, { ...http.policy, behindProxy: options.behindProxy === true }),
      store,
      identity,
      crypto: nodeCrypto,
      ...(options.waitFor === undefined ? {} : { waitFor: options.waitFor }),
      onEvent: (event) => {
        context.progress.show(coordinatorLine(event));
        writer.onEvent(event);
        if (event.type === 'left' && event.participants === 0 && coordinator?.status.phase === 'finished')
          nobodyIsLeft();
      },
    });
    announce(context, addressFor(url, options.host), plan, fingerprint);
    const { model, ...result } = await conduct(context, coordinator, everybodyLeft).finally(() => store.close());
    await writer.finish();
    const { task, seed, privacy } = plan;
    const outcome = { task, ...result, fingerprint, privacyMode: privacy.mode, seed, out };
    if (result.finished) await run.finalEncoder(model, { modelHash: result.modelHash });
    await run.result(outcome);
    context.result(
      outcome,
      [
        `${result.finished ? 'finished' : 'stopped'} after ${result.rounds} of ${plan.rounds.count} rounds in ${formatSeconds(result.seconds)} · ↑ ${formatBytes(result.bytesUp)} ↓ ${formatBytes(result.bytesDown)}`,
        `model ${result.modelHash}`,
        `run folder ${out}`,
      ].join('\n'),
    );
  } finally {
    await http.close();
  }
}
