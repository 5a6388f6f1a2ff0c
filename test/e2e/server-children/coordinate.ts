/** Coordinates one round in a process of its own, with one participant that trains nothing; with `engine` it loads one, too. */
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { identityFromSeed } from '../../../protocol/identity.ts';
import { memoryListener } from '../../../protocol/memory-transport.ts';
import { createCoordinator, memoryStore } from '../../../server/index.ts';
import { FakeParticipant, testPlan } from '../server-harness.ts';

const plan = testPlan({ rounds: { count: 1, cohort: 1 } });
const listener = memoryListener();
const identity = await identityFromSeed(nodeCrypto, new Uint8Array(32));
const coordinator = createCoordinator({ plan, listener, identity, store: memoryStore(), crypto: nodeCrypto });
const run = coordinator.run();
const own = await identityFromSeed(nodeCrypto, new Uint8Array(32).fill(1));
await new FakeParticipant(listener.connect(), own, { plan, serverKey: identity.publicKey }).takePart();
const { rounds } = await run;
await coordinator.stop();
if (process.argv.includes('engine')) await import('@tensorflow/tfjs');
process.stdout.write(`rounds ${rounds}\n`);
process.exit(0);
