/** `npm run bench -- NAME [--json] [flags]`: runs one benchmark and prints one JSON line `{bench, machine, results, ratios}`. */
import { setMaxListeners } from 'node:events';
import { asTacitError, EXIT } from '../protocol/errors.ts';
import { type Bench, machine } from './report.ts';

/** Loaded on demand, so that one benchmark does not pay for another's imports. */
const BENCHES: Readonly<Record<string, () => Promise<{ run: Bench }>>> = {
  engine: () => import('./engine.ts'),
  secagg: () => import('./secagg.ts'),
  pretext: () => import('./pretext.ts'),
  quality: () => import('./quality.ts'),
};

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  const load = name === undefined ? undefined : BENCHES[name];
  if (load === undefined) {
    process.stderr.write(`usage: npm run bench -- NAME [--json]\nbenchmarks: ${Object.keys(BENCHES).join(', ')}\n`);
    return EXIT.usage;
  }
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
  const { run } = await load();
  const args = rest.filter((a) => a !== '--json');
  const report = await run(args, { progress: (text) => process.stderr.write(`${text}\n`), signal: abort.signal });
  process.stdout.write(`${JSON.stringify({ bench: name, machine: machine(), ...report })}\n`);
  return EXIT.ok;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  const error = asTacitError(thrown);
  process.stderr.write(`error [${error.code}]: ${error.message}\n`);
  if (process.env.TACIT_DEBUG)
    process.stderr.write(`${error.stack}\n${(error.cause as Error | undefined)?.stack ?? ''}\n`);
  process.exitCode = error.exitStatus;
}
