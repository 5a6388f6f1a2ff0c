import { execFile } from 'node:child_process';
import { expect, test } from 'vitest';
import { lastWords } from '../../../../learning/engine/last-words.ts';

/** What is said of a child that runs this. */
const after = (script: string, timeout = 20_000): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['-e', script], { timeout }, (error, _, stderr) =>
      resolve(error ? lastWords(error, stderr) : 'nothing'),
    );
  });

test.each([
  ['process.abort()', 'it died of SIGABRT'],
  ["process.kill(process.pid, 'SIGILL')", 'it died of SIGILL'],
  ["throw new RangeError('no such device')", 'no such device'],
  ["console.error(new Error('a gradient came out wrong')); process.exit(1)", 'a gradient came out wrong'],
  ["require('/nowhere/at/all')", "Cannot find module '/nowhere/at/all'"],
  ["console.error('loading\\nno kernel image'); process.exit(1)", 'no kernel image'],
  ['process.exit(3)', 'it ended with status 3'],
])('%s', async (script, words) => {
  expect(await after(script)).toBe(words);
});

test('one that takes too long', async () => {
  expect(await after('setTimeout(() => {}, 60_000)', 300)).toBe('it gave no answer in time');
});
