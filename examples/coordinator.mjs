// A coordinator: `node examples/coordinator.mjs [plan.yaml] [port]`. Prints the address to join at, runs the plan, keeps the encoder.
import { readFile, writeFile } from 'node:fs/promises';
import { serve } from 'tacit/server';
import { parse } from 'yaml';

const [planFile = 'plans/digits.yaml', port = '8080'] = process.argv.slice(2);
const server = await serve({
  plan: parse(await readFile(planFile, 'utf8')),
  port: Number(port),
  onEvent: (event) => {
    if (event.type !== 'committed') return;
    const { round, participants, loss } = event.summary;
    console.log(`round ${round + 1}: ${participants} participants, loss ${loss.toFixed(3)}`);
  },
});
console.log(`join at ${server.joinUrl}`);

const { modelHash, model } = await server.run();
await writeFile('encoder.safetensors', model);
console.log(`finished: model ${modelHash}`);
await server.stop();
