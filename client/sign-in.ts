/**
 * The first words with a coordinator: hello, welcome, identify, join. Afterwards both sides know whom they speak to, and the
 * coordinator's signature stands on everything that the participant will rely on (SPEC.md §5).
 */
import { equalBytes } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import {
  aggregatorStatement,
  authStatement,
  fingerprintOf,
  GENESIS_HEAD,
  type Handshake,
  type Identity,
  planStatement,
  verifyStatement,
  welcomeStatement,
} from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';
import { type Capabilities, PROTOCOL_VERSION, type ServerMessageOf } from '../protocol/messages.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';

export interface SignInOptions {
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  /** The task to join; undefined: whichever the coordinator runs. */
  readonly task: string | undefined;
  /** The fingerprint that the coordinator's key must have. */
  readonly fingerprint: string | undefined;
  /** An operator-signed certificate, if there is one. */
  readonly certificate: Uint8Array | undefined;
  readonly software: string;
  readonly capabilities: Capabilities;
}

/** A coordinator that has proved who it is, and its signed answer to `join`. */
export interface SignedIn {
  readonly serverKey: Uint8Array;
  readonly fingerprint: Fingerprint;
  readonly task: string;
  readonly joined: ServerMessageOf<'joined'>;
}

/** Says hello and checks the coordinator's signature and, where one is pinned, its fingerprint. */
async function greet(peer: ParticipantPeer, options: SignInOptions): Promise<[Handshake, Fingerprint]> {
  const { crypto } = options;
  const versions = [PROTOCOL_VERSION];
  const clientNonce = crypto.randomBytes(32);
  const { message: welcome } = await peer.request({
    type: 'hello',
    versions,
    nonce: clientNonce,
    software: options.software,
    capabilities: options.capabilities,
  });
  const { version, serverKey, nonce: serverNonce, task, signature } = welcome;
  if (!versions.includes(version)) {
    throw new TacitError('wire/unsupported-version', `the coordinator answers in version ${version}`);
  }
  const fingerprint = await fingerprintOf(crypto, serverKey);
  if (options.fingerprint !== undefined && options.fingerprint !== fingerprint) {
    throw new TacitError('auth/wrong-fingerprint', `the coordinator's key has the fingerprint ${fingerprint}`, {
      where: `expected ${options.fingerprint}`,
      hint: 'Ask whoever runs the coordinator for its fingerprint. If it has changed, ask why.',
    });
  }
  const handshake: Handshake = { versions, version, clientNonce, serverNonce, serverKey, task };
  await verifyStatement(crypto, serverKey, welcomeStatement(handshake), signature);
  if (options.task !== undefined && options.task !== task) {
    throw new TacitError('wire/unexpected', `the coordinator runs the task "${task}", not "${options.task}"`);
  }
  return [handshake, fingerprint];
}

/**
 * Signs in and joins.
 * @throws TacitError auth/wrong-fingerprint, auth/bad-signature, wire/unsupported-version, and what the coordinator answers
 */
export async function signIn(peer: ParticipantPeer, options: SignInOptions): Promise<SignedIn> {
  const { crypto, identity } = options;
  const [handshake, fingerprint] = await greet(peer, options);
  const { serverKey, task } = handshake;
  await peer.request({
    type: 'identify',
    identity: identity.publicKey,
    signature: await identity.sign(authStatement(handshake, identity.publicKey)),
    certificate: options.certificate ?? new Uint8Array(0),
  });
  const { message: joined } = await peer.request({ type: 'join', task });
  await verifyStatement(crypto, serverKey, planStatement(task, joined.planHash), joined.planSignature);
  await verifyStatement(crypto, serverKey, aggregatorStatement(task, joined.aggregatorKey), joined.aggregatorSignature);
  if (joined.round === 0 && !equalBytes(joined.head, GENESIS_HEAD)) {
    throw new TacitError('wire/unexpected', 'the transcript has a head before its first round');
  }
  return { serverKey, fingerprint, task, joined };
}
