/** The coordinating path loads no engine: a coordinator runs a round in a process whose every import is watched. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundle, bundle, runChild } from './server-child.ts';

/** Hooks of Node's module loader that report each import of an engine. */
const HOOKS = `
  import { writeSync } from 'node:fs';
  export async function resolve(specifier, context, next) {
    if (/tensorflow|onnxruntime/.test(specifier)) writeSync(2, 'engine: ' + specifier + '\\n');
    return next(specifier, context);
  }`;
const asModule = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;
const REGISTER = asModule(`import { register } from 'node:module'; register(${JSON.stringify(asModule(HOOKS))});`);

let child: Bundle;
beforeAll(async () => {
  child = await bundle('test/e2e/server-children/coordinate.ts');
});
afterAll(() => child.remove());

const run = async (...args: string[]) => {
  const { lines, exit } = runChild(child.file, args, ['--import', REGISTER]);
  const output: string[] = [];
  for await (const line of lines) output.push(line);
  return { output, ...(await exit) };
};

test('a round is coordinated without one', async () => {
  expect(await run()).toMatchObject({ output: ['rounds 1'], code: 0, stderr: '' });
});

test('the watch notices one that is loaded', async () => {
  expect((await run('engine')).stderr).toContain('engine: @tensorflow/tfjs');
});
