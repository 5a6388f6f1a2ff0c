/** Python as a second opinion, where it is at hand with the modules that a test needs: TACIT_PYTHON, else `python3`. */
import { spawnSync } from 'node:child_process';

const interpreter = process.env.TACIT_PYTHON ?? 'python3';

/** Nothing when Python has all of these modules, else one line that says what is missing. */
export function missingFromPython(...modules: readonly string[]): string | undefined {
  const found = spawnSync(interpreter, ['-c', `import ${modules.join(', ')}`], { encoding: 'utf8' });
  if (found.error) return `there is no ${interpreter}`;
  if (found.status === 0) return undefined;
  return `${interpreter}: ${found.stderr.trim().split('\n').at(-1)} (set TACIT_PYTHON to one that has ${modules.join(', ')})`;
}

/** What a script prints as JSON. @throws Error with what Python said on stderr */
export function python(script: string, ...args: readonly string[]): unknown {
  const ran = spawnSync(interpreter, ['-c', script, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (ran.status !== 0) throw new Error(`Python ended with ${ran.status}:\n${ran.stderr}`);
  return JSON.parse(ran.stdout);
}
