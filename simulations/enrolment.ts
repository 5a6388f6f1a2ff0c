/**
 * An operator for one simulation: a key from the operating system's randomness that certifies the run's participants and is then
 * gone, so that nobody can enrol another, the coordinator of the same process included.
 */
import { type LocalPolicy, parsePolicy } from '../client/policy.ts';
import { certificateMarginSeconds, issueCertificate } from '../protocol/certificate.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { type Identity, identityFromSeed } from '../protocol/identity.ts';
import type { Plan } from '../protocol/plan.ts';
import { LEAST_SECURE_COHORT } from '../protocol/plan-privacy.ts';

/** What participants are given besides their identities. */
export interface Enrolment {
  /** By participant. */
  readonly certificates: readonly Uint8Array[];
  /** Takes part only where every participant is certified by this operator. */
  readonly policy: LocalPolicy;
}

export interface Enrolled {
  /** The plan, which now requires certificates. */
  readonly plan: Plan;
  readonly enrolment: Enrolment;
}

const DAY_SECONDS = 86_400;

/** Certifies `identities` for the plan's task, for a day. */
export async function enrolAll(plan: Plan, identities: readonly Identity[]): Promise<Enrolled> {
  const operator = await identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));
  const notAfter = Math.floor(Date.now() / 1000) + DAY_SECONDS + certificateMarginSeconds(plan);
  const certificates = await Promise.all(
    identities.map(({ publicKey: identity }) =>
      issueCertificate((statement) => operator.sign(statement), {
        identity,
        tasks: [plan.task],
        notAfter,
        nonce: nodeCrypto.randomBytes(32),
      }),
    ),
  );
  const minSecureCohort = Math.max(LEAST_SECURE_COHORT, Math.min(5, plan.rounds.minReports));
  return {
    plan: { ...plan, admission: { certificates: 'required', operatorKey: operator.id } },
    enrolment: { certificates, policy: parsePolicy({ operatorKeys: [operator.id], minSecureCohort }) },
  };
}
