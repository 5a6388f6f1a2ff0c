/** Branded identifiers: the same characters in another role do not type-check. */

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Unpadded base64url of a participant's raw 32-byte Ed25519 public key. */
export type ParticipantId = Brand<string, 'ParticipantId'>;
/** Name of a learning task on a coordinator: `[A-Za-z0-9._:-]{1,64}`. */
export type TaskId = Brand<string, 'TaskId'>;
/** Lower-case hex of a SHA-256 digest. */
export type HashHex = Brand<string, 'HashHex'>;
/** Unpadded base64url of SHA-256 of the coordinator's raw Ed25519 public key. */
export type Fingerprint = Brand<string, 'Fingerprint'>;

export const IDENTIFIER = /^[A-Za-z0-9._:-]{1,64}$/;
