/** One session of secure aggregation among participants in one process: what a coordinator holds of each, and the sum it opens. */
import { toWords } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { type Identity, identityFromSeed } from '../../protocol/identity.ts';
import type { ParticipantSession, SessionTerms } from '../../protocol/secagg/contracts.ts';
import { openSession } from '../../protocol/secagg/participant.ts';
import { openServerSession } from '../../server/secagg/session.ts';

const newIdentity = (): Promise<Identity> => identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));

const NO_CERTIFICATE = new Uint8Array(0);

interface Party {
  readonly identity: Identity;
  readonly session: ParticipantSession;
}

export interface SecureSum {
  /** The masked words of the first participant, as they arrive. */
  readonly masked: Int32Array;
  readonly sum: Int32Array;
}

/** Adds up the words of five participants or more, of which none drops out. */
export async function secureSum(reports: readonly Int32Array[]): Promise<SecureSum> {
  const coordinator = await newIdentity();
  const hash = (): Uint8Array => nodeCrypto.randomBytes(32);
  const terms: SessionTerms = {
    offerHash: hash(),
    planHash: hash(),
    modelHash: hash(),
    exchanges: [reports[0]!.length],
    minCohort: reports.length,
    maxCohort: reports.length,
  };
  const common = { ...terms, crypto: nodeCrypto };
  const server = openServerSession({ ...common, identity: coordinator });
  const parties = await Promise.all(
    reports.map(async (): Promise<Party> => {
      const identity = await newIdentity();
      const own = { identity, serverKey: coordinator.publicKey, policyMinCohort: 5, certificate: NO_CERTIFICATE };
      return { identity, session: openSession({ ...common, ...own }) };
    }),
  );
  /** One stage: everybody's answer to what it was sent goes to the coordinator. */
  const stage = async (act: (party: Party, k: number) => Promise<void>): Promise<void> => {
    for (const [k, party] of parties.entries()) await act(party, k);
  };
  await stage(async ({ identity, session }) => server.advertised(identity.id, await session.advertise()));
  const rosters = await server.roster();
  await stage(async ({ identity, session }) =>
    server.shared(identity.id, await session.share(rosters.get(identity.id)!)),
  );
  const deliveries = await server.delivery();
  let masked: Int32Array = new Int32Array(0);
  await stage(async ({ identity, session }, k) => {
    await session.receive(deliveries.get(identity.id)!);
    const words = toWords(await session.mask(0, reports[k]!.slice()));
    if (k === 0) masked = words.slice();
    server.masked(identity.id, 0, words);
  });
  const survivors = await server.survivors(0);
  await stage(async ({ identity, session }) =>
    server.agreed(identity.id, await session.agree(survivors.get(identity.id)!)),
  );
  const agreements = await server.agreements(0);
  await stage(async ({ identity, session }) =>
    server.unmasking(identity.id, await session.unmask(agreements.get(identity.id)!)),
  );
  const { sum } = await server.open(0);
  server.wipe();
  return { masked, sum };
}
