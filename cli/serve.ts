/** What `tacit serve` does: listens, says how to join, runs the rounds, gives the model away, writes the run folder. */
import { hostname } from 'node:os';
import { weightsLines } from '../learning/initial-weights.ts';
import { createRun, type RunWriter } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import { openIdentityFile } from '../protocol/node/identity-file.ts';
import type { Plan } from '../protocol/plan.ts';
import type { RunResult } from '../server/events.ts';
import { serve as serveFederation, type TacitServer } from '../server/serve.ts';
import { spentIn } from '../simulations/privacy-spent.ts';
import { type RoundWriter, roundWriter } from '../simulations/round-writer.ts';
import type { ServeOptions } from './commands/serve.ts';
import type { Context } from './context.ts';
import { coordinatorLine } from './coordinator-lines.ts';
import { loadStart } from './plan-file.ts';
import { defaultOut, prepareOut } from './run-options.ts';
import { formatBytes, formatCount, formatSeconds } from './units.ts';

/** How long the final model is offered to participants that are still there. */
const LINGER_MS = 60_000;

function tlsOf({
  tlsCert: cert,
  tlsKey: key,
}: ServeOptions): { readonly cert: string; readonly key: string } | undefined {
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === undefined && key === undefined) return undefined;
  throw new TacitError('usage/unknown-flag', '--tls-cert and --tls-key belong together.', {
    where: cert === undefined ? '--tls-key' : '--tls-cert',
    hint: 'Give both PEM files, or neither on this machine.',
  });
}

/** The address that others can use, since a server that listens everywhere knows no name of its own. */
const addressFor = (url: string, host: string): string =>
  host === '0.0.0.0' || host === '::' ? url.replace('localhost', hostname()) : url;

function announce(context: Context, url: string, plan: Plan, fingerprint: string): void {
  const link = `${url}/#srv=${fingerprint}`;
  context.announce(
    [
      `task ${plan.task}: ${formatCount(plan.rounds.count, 'round')}, ${formatCount(plan.rounds.cohort, 'participant')} in each (at least ${plan.rounds.minReports})`,
      `join from a browser:   ${link}`,
      `join from a terminal:  tacit join '${link}' --data FOLDER`,
    ].join('\n'),
  );
}

/** The coordinator's life: until its last round and the last participant has left, or until the signal. */
async function conduct(context: Context, server: TacitServer): Promise<RunResult> {
  const stop = (): void => void server.coordinator.stop();
  context.signal.addEventListener('abort', stop, { once: true });
  if (context.signal.aborted) stop();
  try {
    const result = await server.run();
    if (server.coordinator.status.participants > 0) {
      context.progress.live('finished; participants may fetch the final model');
    }
    return result;
  } finally {
    await server.stop({ lingerMs: LINGER_MS });
    context.signal.removeEventListener('abort', stop);
  }
}

function describe(result: Omit<RunResult, 'model'>, plan: Plan, out: string): string {
  const { finished, rounds, seconds, bytesUp, bytesDown, modelHash } = result;
  return [
    `${finished ? 'finished' : 'stopped'} after ${rounds} of ${plan.rounds.count} rounds in ${formatSeconds(seconds)} · ↑ ${formatBytes(bytesUp)} ↓ ${formatBytes(bytesDown)}`,
    `model ${modelHash}`,
    `run folder ${out}`,
  ].join('\n');
}

async function openRunFolder(
  { out: given, dataDir }: ServeOptions,
  plan: Plan,
): Promise<{ out: string; run: RunWriter }> {
  const out = await prepareOut(given ?? defaultOut(plan.task));
  return { out, run: await createRun(out, plan, { resume: dataDir !== undefined }) };
}

/** Coordinates one run. @throws TacitError net/port-in-use, net/insecure, run/failed, run/store, and those of the plan */
export async function serve(context: Context, options: ServeOptions): Promise<void> {
  const start = await loadStart(options.plan, { overrides: options.set, seed: options.seed });
  const { plan, initialModel } = start;
  const { host, port, behindProxy, identity, dataDir, waitFor } = options;
  const tls = tlsOf(options);
  let writer: RoundWriter | undefined;
  const server = await serveFederation({
    plan,
    host,
    port,
    behindProxy: behindProxy === true,
    ...(tls ? { tls } : {}),
    ...(identity === undefined ? {} : { identity: await openIdentityFile(identity) }),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(waitFor === undefined ? {} : { waitFor }),
    ...(initialModel ? { initialModel } : {}),
    onEvent: (event) => {
      context.progress.show(coordinatorLine(event));
      writer?.onEvent(event);
    },
  });
  // Only now, so that a port that is taken leaves no run folder behind; there are no events before `run`.
  const { out, run } = await openRunFolder(options, plan).catch(async (thrown: unknown) => {
    await server.stop();
    throw thrown;
  });
  writer = roundWriter(run, context.io, plan);
  if (start.report) context.announce(weightsLines(start.report).join('\n'));
  announce(context, addressFor(server.url, host), plan, server.fingerprint);
  const { model, ...result } = await conduct(context, server);
  await writer.finish();
  if (result.finished) await run.finalEncoder(model, { modelHash: result.modelHash });
  const { task, seed, privacy } = plan;
  const outcome = {
    task,
    ...result,
    fingerprint: server.fingerprint,
    privacyMode: privacy.mode,
    ...spentIn(plan, result.history),
    seed,
    out,
  };
  await run.result(outcome);
  context.result(outcome, describe(result, plan, out));
}
