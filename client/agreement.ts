/**
 * The plan that a participant agrees to: pulled by its hash, checked as the very bytes that were signed, held against the local
 * policy, and turned into everything that the rounds need. Both sides compute sections, lengths and scales from it alone.
 */
import { type Model, modelOf } from '../learning/model.ts';
import { completePlan } from '../learning/registry.ts';
import { fromUtf8, toHex } from '../protocol/bytes.ts';
import { TacitError } from '../protocol/errors.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';
import type { Plan } from '../protocol/plan.ts';
import type { SealingSuite } from '../protocol/sealing/suite.ts';
import { chooseSuite } from '../protocol/sealing/suites.ts';
import { type Exchange, exchangesOf } from '../protocol/sections.ts';
import { checkPlan, type LocalPolicy, type Refusal } from './policy.ts';
import type { SignedIn } from './sign-in.ts';

/** A plan that was verified and admitted, with what follows from it. */
export interface Agreement {
  readonly plan: Plan;
  readonly planHash: Uint8Array;
  readonly planHashHex: string;
  readonly model: Model;
  readonly exchanges: readonly Exchange[];
  /** The sealing suite of all reports: the plan's best that is spoken here; undefined where reports are masked instead. */
  readonly suite: SealingSuite | undefined;
}

/** Reads the bytes of a plan. @throws TacitError plan/invalid, plan/unknown-name, plan/refused */
export function readPlan(bytes: Uint8Array): Plan {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new TacitError('plan/invalid', "the coordinator's plan is not JSON", { cause });
  }
  return completePlan(value);
}

/** The refusal of a plan as an error, each reason on a line of its own. */
const refusedBecause = (refusals: readonly Refusal[]): TacitError =>
  new TacitError('policy/refused', refusals.map(({ reason }) => reason).join('\n'), {
    where: refusals.map(({ floor }) => floor).join(', '),
    hint: 'The local policy decides this; relax it only if you trust this coordinator.',
  });

export interface AgreementOptions {
  readonly policy: LocalPolicy;
  /** Called with all reasons before the plan is refused. */
  readonly onRefused: (refusals: readonly Refusal[]) => void;
  /** Gets the bytes of a blob by their hash, checked. */
  readonly pullPlan: (peer: ParticipantPeer, joined: SignedIn['joined']) => Promise<Uint8Array>;
}

/**
 * Gets the plan that `join` was answered with and agrees to it.
 * @throws TacitError wire/hash-mismatch, plan/*, policy/refused, wire/no-common-suite
 */
export async function agree(peer: ParticipantPeer, signedIn: SignedIn, options: AgreementOptions): Promise<Agreement> {
  const { joined, task } = signedIn;
  const plan = readPlan(await options.pullPlan(peer, joined));
  if (plan.task !== task)
    throw new TacitError('plan/invalid', `the plan is for the task "${plan.task}", not "${task}"`);
  const model = modelOf(plan);
  const planHashHex = toHex(joined.planHash);
  const refusals = checkPlan(options.policy, plan, {
    planHash: planHashHex,
    parameters: model.reportShape.dimension,
  });
  if (refusals.length > 0) {
    options.onRefused(refusals);
    throw refusedBecause(refusals);
  }
  const suite = plan.privacy.mode === 'sealed' ? chooseSuite(plan.privacy.suites) : undefined;
  const exchanges = exchangesOf(plan, model.reportShape);
  return { plan, planHash: joined.planHash, planHashHex, model, exchanges, suite };
}
