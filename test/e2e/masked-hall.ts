/** Real participants that train by drawing numbers, around a real coordinator in memory, under masks; each connection can be cut. */
import type { JoinOptions } from '../../client/join-options.ts';
import { parsePolicy } from '../../client/policy.ts';
import { modelOf } from '../../learning/model.ts';
import type { TrainInput, TrainOutput } from '../../learning/pool/jobs/train.ts';
import { issueCertificate } from '../../protocol/certificate.ts';
import { decodeClientFrame } from '../../protocol/codec.ts';
import { dimensionOf } from '../../protocol/flatten.ts';
import type { Identity } from '../../protocol/identity.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Plan } from '../../protocol/plan.ts';
import { stream } from '../../protocol/random.ts';
import type { Connection } from '../../protocol/transport.ts';
import type { CoordinatorOptions } from '../../server/coordinator-options.ts';
import { fakeTrainer, type Started, start } from '../unit/client/participant-fixture.ts';
import { type Harness, harness, identityOf, testPlan } from './server-harness.ts';

type Json = Readonly<Record<string, unknown>>;

/** A small plan under masks; what is given is laid over it. */
export const maskedPlan = (changes: { rounds?: Json; privacy?: Json } & Json = {}): Plan =>
  testPlan({
    ...changes,
    rounds: { count: 1, cohort: 6, minReports: 4, ...changes.rounds },
    privacy: { mode: 'secagg', ...changes.privacy },
  });

/** What participant `id` learns in a round: the same in every mode and attempt. */
export function drawn(input: Pick<TrainInput, 'plan' | 'participant' | 'round'>): TrainOutput {
  const rng = stream(input.participant, 'update', input.round);
  const dimension = dimensionOf(modelOf(input.plan).aggregated);
  return {
    delta: Float32Array.from({ length: dimension }, () => 0.05 * rng.normal()),
    loss: -rng.next(),
    examples: 1 + rng.below(150),
    steps: input.plan.training.steps,
  };
}

/** Says at which message of a participant its connection is lost, and whether it may come back. */
export interface Fate {
  readonly at: (message: ClientMessage) => boolean;
  readonly gone?: boolean;
}

/** A connection that is lost before the message is sent that fate names. */
function fated(connection: Connection, fate: Fate | undefined, onLoss: () => void): Connection {
  if (!fate) return connection;
  return {
    ...connection,
    send: async (frame) => {
      if (fate.at(decodeClientFrame(frame).message)) {
        onLoss();
        connection.close('lost');
        return;
      }
      await connection.send(frame);
    },
  };
}

export interface Hall extends Harness {
  readonly people: readonly Started[];
  readonly identities: readonly Identity[];
}

export interface HallOptions {
  readonly count: number;
  readonly coordinator?: Partial<CoordinatorOptions>;
  readonly fates?: Readonly<Record<number, Fate>>;
  readonly join?: (index: number) => Partial<JoinOptions>;
  /** Sees, and may change, what passes. */
  readonly wire?: (connection: Connection, index: number) => Connection;
}

/** Fills a hall; the coordinator runs until it is stopped. */
export async function maskedHall(
  plan: Plan,
  options: HallOptions,
): Promise<Hall & { run: ReturnType<Harness['coordinator']['run']> }> {
  const { count, fates = {}, wire = (connection) => connection } = options;
  const at = await harness(plan, { waitFor: count, graceMs: 60, ...options.coordinator });
  const run = at.coordinator.run();
  run.catch(() => {});
  const identities = await Promise.all(Array.from({ length: count }, (_, i) => identityOf(`masked-${i}`)));
  const people = await Promise.all(
    identities.map(async (identity, i) => {
      const trainer = fakeTrainer();
      trainer.output = drawn;
      let lost = false;
      const fate = fates[i];
      return start(
        at,
        {
          identity,
          keepModel: false,
          policy: parsePolicy({ minSecureCohort: 3 }),
          retries: fate?.gone ? 0 : 3,
          connect: async () => {
            if (lost && fate?.gone) return new Promise(() => {});
            const connection = wire(at.listener.connect(), i);
            return fated(connection, lost ? undefined : fate, () => {
              lost = true;
            });
          },
          ...options.join?.(i),
        },
        trainer,
      );
    }),
  );
  return { ...at, people, identities, run };
}

/** A certificate for a year from now. */
export const certify = (operator: Identity, identity: Identity, task = 'test'): Promise<Uint8Array> =>
  issueCertificate((statement) => operator.sign(statement), {
    identity: identity.publicKey,
    tasks: [task],
    notAfter: Math.floor(Date.now() / 1000) + 365 * 86_400,
    nonce: new Uint8Array(32).fill(7),
  });
