/** Serves three rounds for three participants from a folder, and prints where; in the end it prints the model's hash. */
import { serve } from '../../../server/index.ts';
import { killPlan } from '../server-harness.ts';

const [dataDir = ''] = process.argv.slice(2);
const server = await serve({ plan: killPlan, port: 0, dataDir, waitFor: 3, joinPage: false });
const run = server.run();
process.stdout.write(`${server.url}\n`);
const { modelHash, rounds } = await run;
process.stdout.write(`${rounds} ${modelHash}\n`);
await server.stop({ lingerMs: 5000 });
process.exit(0);
