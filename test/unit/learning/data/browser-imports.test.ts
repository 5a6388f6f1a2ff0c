import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const entry = fileURLToPath(new URL('../../../../learning/data/browser.ts', import.meta.url));

/** Everything that a file imports at run time, itself or through others; type-only imports vanish. */
function importsOf(path: string, seen: Map<string, string[]> = new Map()): Map<string, string[]> {
  const text = readFileSync(path, 'utf8').replaceAll(/^import type .*$/gm, '');
  const names = [...text.matchAll(/(?:from|import\(|^import) ?'([^']+)'/gm)].map((match) => match[1]!);
  seen.set(path, names);
  for (const name of names) {
    const target = join(dirname(path), name);
    if (name.startsWith('.') && !seen.has(target)) importsOf(target, seen);
  }
  return seen;
}

it('the browser side of the data sources needs neither Node nor sharp', () => {
  const graph = importsOf(entry);
  expect(graph.size).toBeGreaterThan(12);
  const outside = [...graph.values()].flat().filter((name) => !name.startsWith('.'));
  expect([...new Set(outside)]).toEqual(['fast-png']);
});
