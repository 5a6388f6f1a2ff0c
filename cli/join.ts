/** What `tacit join` does: takes part, says what is going on, and keeps the final encoder if that was asked for. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { ParticipantEvent } from '../client/events.ts';
import { joinFromNode } from '../client/node/join.ts';
import { DEFAULT_POLICY, type LocalPolicy, parsePolicy } from '../client/policy.ts';
import type { Traffic } from '../client/traffic.ts';
import { within } from '../learning/names.ts';
import { planBytesOf } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import { readCertificate } from './certificate-file.ts';
import type { JoinOptions } from './commands/join.ts';
import type { Context } from './context.ts';
import { dataArgument } from './data-argument.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { writeOutput } from './output-file.ts';
import { participantLine } from './participant-lines.ts';
import { formatCount } from './units.ts';

/** Modes in which no single report can be read. */
const MASKED_MODES = ['secagg', 'secagg+dp'];

async function readText(path: string, flag: string): Promise<string> {
  return readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    throw new TacitError('usage/unknown-flag', `Cannot read ${path} (${thrown.code}).`, {
      where: `${flag} ${path}`,
      cause: thrown,
    });
  });
}

const hintOf = ({ hint }: TacitError): { hint?: string } => (hint === undefined ? {} : { hint });

async function readPolicy(path: string): Promise<LocalPolicy> {
  const text = await readText(path, '--policy');
  try {
    return parsePolicy(parse(text) ?? {});
  } catch (thrown) {
    if (thrown instanceof TacitError)
      throw new TacitError(thrown.code, thrown.message, { where: path, ...hintOf(thrown) });
    throw new TacitError('policy/invalid', `The policy is not YAML: ${(thrown as Error).message.split('\n')[0]}`, {
      where: path,
      cause: thrown,
    });
  }
}

/** The policy with what the flags say laid over it. */
const policyOf = (options: JoinOptions, policy: LocalPolicy): LocalPolicy => ({
  ...policy,
  ...(options.minCohort === undefined ? {} : { minCohort: options.minCohort, minSecureCohort: options.minCohort }),
  ...(options.minBatch === undefined ? {} : { minBatch: options.minBatch }),
  ...(options.requireSecagg ? { privacyModes: MASKED_MODES } : {}),
  ...(options.requireCertificates ? { requireCertificates: true } : {}),
  ...(options.operator === undefined ? {} : { operatorKeys: [options.operator] }),
  ...(options.maxContributions === undefined ? {} : { maxContributionsPerModel: options.maxContributions }),
});

/** What is remembered of the events for the result. */
interface Seen {
  plan?: Plan;
  fingerprint?: string;
  participant?: string;
}

/** Notes what the result will need, and shows the event. */
function follow(context: Context, seen: Seen): (event: ParticipantEvent, traffic: Readonly<Traffic>) => void {
  return (event, traffic) => {
    if (event.type === 'plan') seen.plan = event.plan;
    if (event.type === 'joined')
      Object.assign(seen, { participant: event.participant, fingerprint: event.fingerprint });
    context.progress.show(participantLine(event, traffic));
  };
}

async function saveModel(path: string, model: Uint8Array, modelHash: string, plan: Plan): Promise<void> {
  const arrays = decodeSafetensors(model).arrays;
  const encoder = Object.fromEntries(
    Object.entries(within('encoder', arrays)).map(([name, array]) => [`encoder/${name}`, array]),
  );
  const metadata = { plan: new TextDecoder().decode(planBytesOf(plan)), modelHash };
  await writeOutput('--save-model', path, encodeSafetensors(encoder, metadata));
}

/** Joins and takes part until the run has finished or a signal says stop. */
export async function join(context: Context, options: JoinOptions, url: string): Promise<void> {
  const data = await dataArgument(options.data, options.labelColumn);
  const seen: Seen = {};
  const policy = policyOf(options, options.policy === undefined ? DEFAULT_POLICY : await readPolicy(options.policy));
  const certificate = options.certificate === undefined ? undefined : await readCertificate(options.certificate);
  const ca = options.ca === undefined ? undefined : await readText(options.ca, '--ca');
  closePoolsBeforeLeaving();
  const joined = await joinFromNode({
    url,
    data,
    fingerprint: options.fingerprint,
    identity: options.identity,
    certificate,
    folder: options.state,
    policy,
    ca,
    seed: options.seed,
    retries: options.retries,
    engine: options.engine,
    keepModel: options.saveModel !== undefined,
    signal: context.signal,
    onEvent: follow(context, seen),
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
      `${joined.ended === 'finished' ? 'finished' : 'left'} after ${formatCount(joined.rounds, 'round')}; ${formatCount(joined.reports, 'report')} of this participant`,
      ...(joined.modelHash ? [`model ${joined.modelHash}`] : []),
      ...(saved ? [`encoder ${saved}`] : []),
    ].join('\n'),
  );
}
