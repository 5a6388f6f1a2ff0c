/**
 * `tacit/client`: take part in a federation from Node.
 *
 * ```ts
 * import { joinFromNode } from 'tacit/client';
 *
 * const leave = new AbortController();
 * process.once('SIGINT', () => leave.abort());
 *
 * const { ended, rounds, finalModel } = await joinFromNode({
 *   url: 'https://federation.example.org:8443/#srv=…', // the fingerprint pins the coordinator's key
 *   data: { kind: 'folder', path: '/home/me/pictures' }, // never leaves this machine
 *   identity: '/home/me/.tacit/identity.json', // made on first use
 *   policy: parsePolicy({ minCohort: 5, privacyModes: ['sealed'] }), // what I am willing to do
 *   signal: leave.signal,
 *   onEvent: (event) => {
 *     if (event.type === 'trained') console.log(`round ${event.round + 1}: loss ${event.loss}`);
 *   },
 * });
 * ```
 *
 * `joinFederation` is the same participant for any platform: connections, cryptography, training and storage are handed in.
 */

export { createIdentityFile, openIdentityFile, readIdentityFile } from '../protocol/node/identity-file.ts';
export { type Backoff, DEFAULT_BACKOFF } from './backoff.ts';
export type { Trainer } from './build-words.ts';
export { encoderFile } from './encoder-file.ts';
export type { ParticipantEvent } from './events.ts';
export type { JoinOptions, JoinResult } from './join-options.ts';
export { type ConnectOptions, connectSocket } from './node/connect.ts';
export { folderStore } from './node/folder-store.ts';
export { joinFromNode, type NodeJoinOptions } from './node/join.ts';
export { joinFederation } from './participant.ts';
export { type Fact, factsOf, type Sharing, sharingOf } from './plan-in-words.ts';
export { checkPlan, DEFAULT_POLICY, type LocalPolicy, parsePolicy, type Refusal } from './policy.ts';
export { memoryStore, type ParticipantStore } from './store.ts';
export type { Traffic } from './traffic.ts';
