/** What `tacit join` does: takes part, says what is going on, and keeps the final encoder if that was asked for. */
import { readFile, writeFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { ParticipantEvent } from '../client/events.ts';
import { joinFromNode } from '../client/node/join.ts';
import { type LocalPolicy, parsePolicy } from '../client/policy.ts';
import type { Traffic } from '../client/traffic.ts';
import { within } from '../learning/names.ts';
import { planBytesOf } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import type { JoinOptions } from './commands/join.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { formatBytes, formatCount, formatSeconds } from './units.ts';

async function readText(path: string, flag: string): Promise<string> {
  return readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    throw new TacitError('usage/unknown-flag', `Cannot read ${path} (${thrown.code}).`, {
      where: `${flag} ${path}`,
      cause: thrown,
    });
  });
}

async function readPolicy(path: string): Promise<LocalPolicy> {
  const text = await readText(path, '--policy');
  const value: unknown = (() => {
    try {
      return parse(text);
    } catch (thrown) {
      throw new TacitError(
        'usage/unknown-flag',
        `The policy is not YAML: ${(thrown as Error).message.split('\n')[0]}`,
        {
          where: `--policy ${path}`,
          cause: thrown,
        },
      );
    }
  })();
  return parsePolicy(value);
}

/** What is remembered of the events for the result. */
interface Seen {
  plan?: Plan;
  fingerprint?: string;
  participant?: string;
}

/** Says each event in words: what changes the situation stays, what passes is live. */
function narrator(context: Context, seen: Seen): (event: ParticipantEvent, traffic: Readonly<Traffic>) => void {
  const { live, log } = context.progress;
  return (event, traffic) => {
    const bytes = `↑ ${formatBytes(traffic.up)} ↓ ${formatBytes(traffic.down)}`;
    switch (event.type) {
      case 'connecting':
        return live('connecting …');
      case 'joined':
        seen.fingerprint = event.fingerprint;
        seen.participant = event.participant;
        log(`joined as ${event.participant}; the coordinator's fingerprint is ${event.fingerprint}`);
        if (!event.pinned)
          log('note: that fingerprint was not given in the address or with --fingerprint, so it was taken on trust');
        return;
      case 'plan':
        seen.plan = event.plan;
        return log(
          `task ${event.plan.task}: ${event.plan.rounds.count} rounds of ${event.plan.training.steps} steps, ${formatCount(event.parameters)} parameters; privacy mode ${event.plan.privacy.mode}`,
        );
      case 'refused':
        for (const { floor, reason } of event.refusals) log(`refused: ${reason} (${floor})`);
        return;
      case 'waiting':
        return live(`waiting for a round (${event.code}) · ${bytes}`);
      case 'offer':
        return live(`round ${event.round + 1}: invited · ${bytes}`);
      case 'declined':
        return log(`round ${event.round + 1}: declined, ${event.reason}`);
      case 'downloading':
        return live(`round ${event.round + 1}: model ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`);
      case 'training':
        return live(
          `round ${event.round + 1}: step ${event.step} of ${event.steps}${event.loss === undefined ? '' : ` · loss ${event.loss.toFixed(3)}`} · ${bytes}`,
        );
      case 'trained':
        return live(
          `round ${event.round + 1}: trained on ${formatCount(event.examples)} examples · loss ${event.loss.toFixed(3)}`,
        );
      case 'uploading':
        return live(`round ${event.round + 1}: report ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`);
      case 'reported':
        return live(`round ${event.round + 1}: reported · ${bytes}`);
      case 'committed':
        return log(
          `round ${event.round + 1} committed with ${event.participants} participants${event.mine ? '' : ', without this one'} · ${bytes}`,
        );
      case 'failed':
        return log(`round ${event.round + 1}, attempt ${event.attempt + 1} failed: ${event.reason}`);
      case 'finished':
        return log(`finished after ${event.rounds} rounds · ${bytes}`);
      case 'retrying':
        return log(`${event.error.message}; trying again in ${formatSeconds(event.waitMs / 1000)} (${event.attempt})`);
      default:
        return event satisfies never;
    }
  };
}

async function saveModel(path: string, model: Uint8Array, modelHash: string, plan: Plan): Promise<void> {
  const arrays = decodeSafetensors(model).arrays;
  const encoder = Object.fromEntries(
    Object.entries(within('encoder', arrays)).map(([name, array]) => [`encoder/${name}`, array]),
  );
  const metadata = { plan: new TextDecoder().decode(planBytesOf(plan)), modelHash };
  await writeFile(path, encodeSafetensors(encoder, metadata)).catch((thrown: NodeJS.ErrnoException) => {
    throw new TacitError('run/store', `Cannot write ${path} (${thrown.code}).`, {
      where: `--save-model ${path}`,
      cause: thrown,
    });
  });
}

/** Joins and takes part until the run has finished or a signal says stop. */
export async function join(context: Context, options: JoinOptions, url: string): Promise<void> {
  const data = await dataArgument(options.data, options.labelColumn);
  const seen: Seen = {};
  const policy = options.policy === undefined ? undefined : await readPolicy(options.policy);
  const ca = options.ca === undefined ? undefined : await readText(options.ca, '--ca');
  closePoolsBeforeLeaving();
  const joined = await joinFromNode({
    url,
    data,
    fingerprint: options.fingerprint,
    identity: options.identity,
    folder: options.state,
    policy,
    ca,
    seed: options.seed,
    retries: options.retries,
    engine: options.engine,
    keepModel: options.saveModel !== undefined,
    signal: context.signal,
    onEvent: narrator(context, seen),
  });
  const { finalModel, ...counts } = joined;
  if (options.saveModel !== undefined && finalModel && joined.modelHash && seen.plan) {
    await saveModel(options.saveModel, finalModel, joined.modelHash, seen.plan);
  }
  const { participant, fingerprint, plan } = seen;
  const saved = options.saveModel !== undefined && finalModel ? options.saveModel : null;
  context.result(
    { task: plan?.task, participant, fingerprint, ...counts, saved },
    [
      `${joined.ended === 'finished' ? 'finished' : 'left'} after ${joined.rounds} rounds; ${joined.reports} reports of this participant`,
      ...(joined.modelHash ? [`model ${joined.modelHash}`] : []),
      ...(saved ? [`encoder ${saved}`] : []),
    ].join('\n'),
  );
}
