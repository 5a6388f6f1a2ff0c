/**
 * What a coordinator tells anybody who opens its page, before they join: `GET /federation.json`.
 * Nothing here is signed and nothing is relied upon: on joining, the participant gets the signed plan by its hash and decides by that.
 */
import { z } from 'zod';
import { PROTOCOL_VERSION } from './messages.ts';

/** Where the public description is served. */
export const FEDERATION_INFO_PATH = '/federation.json';

export const federationInfo = z.object({
  version: z.literal(1),
  /** Protocol versions that the coordinator speaks. */
  protocol: z.array(z.int().min(0).max(255)).min(1),
  task: z.string().max(64),
  /** Unpadded base64url of SHA-256 of the coordinator's public key. */
  fingerprint: z.string().length(43),
  /** Lower-case hex of SHA-256 of the plan's bytes as they will be sent. */
  planHash: z.string().length(64),
  /** The plan itself; to be checked by the reader's own schema. */
  plan: z.record(z.string(), z.unknown()),
  /** Rounds committed so far. */
  round: z.int().min(0),
  finished: z.boolean(),
});
export type FederationInfo = z.infer<typeof federationInfo>;

/** Puts the description together on the coordinator's side. */
export const describeFederation = (facts: Omit<FederationInfo, 'version' | 'protocol'>): FederationInfo => ({
  version: 1,
  protocol: [PROTOCOL_VERSION],
  ...facts,
});
