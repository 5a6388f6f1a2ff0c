/** Holds the rules on imports of ARCHITECTURE.md: which part may know which, and that the coordinator loads no engine. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Parts of the tree that each part may import from, besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  protocol: [],
  learning: ['protocol'],
  client: ['protocol', 'learning'],
  server: ['protocol', 'learning'],
  simulations: ['protocol', 'learning', 'client', 'server'],
  cli: ['protocol', 'learning', 'client', 'server', 'simulations', 'bench'],
  bench: ['protocol', 'learning', 'client', 'server', 'simulations', 'cli'],
};

/** Packages and built-in modules that a part may use; `*` is any. */
const MAY_USE: Record<string, RegExp> = {
  protocol: /^(zod|fft\.js|tweetnacl|msgpackr(\/.*)?|shamir-secret-sharing)$/,
  learning: /^(?!socket\.io)/,
  client: /^(?!socket\.io$)/,
  server: /^(?!socket\.io-client|@tensorflow|onnxruntime)/,
  simulations: /./,
  cli: /./,
  bench: /./,
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly kind: 'value' | 'type' | 'dynamic';
}

function sources(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

const STATIC = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;
const TYPE_QUERY = /\b(?:typeof\s+)import\(\s*'([^']+)'\s*\)/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const found: Import[] = [];
  for (const match of text.matchAll(STATIC)) {
    found.push({ file, target: match[2]!, kind: match[1] ? 'type' : 'value' });
  }
  const types = new Set([...text.matchAll(TYPE_QUERY)].map((m) => m.index + m[0].indexOf('import')));
  for (const match of text.matchAll(DYNAMIC)) {
    found.push({ file, target: match[1]!, kind: types.has(match.index) ? 'type' : 'dynamic' });
  }
  return found;
}

const partOf = (path: string): string => relative(root, path).split('/')[0]!;
const all = Object.keys(MAY_IMPORT).flatMap((part) => sources(join(root, part)).flatMap(importsOf));
const show = ({ file, target }: Import): string => `${relative(root, file)} → ${target}`;

describe('imports', () => {
  it('are found at all', () => {
    expect(all.length).toBeGreaterThan(50);
    expect(all.some((i) => i.target === 'zod')).toBe(true);
  });

  it('go one way between the parts of the tree', () => {
    const wrong = all.filter(({ file, target }) => {
      if (!target.startsWith('.')) return false;
      const from = partOf(file);
      const to = partOf(join(dirname(file), target));
      return from !== to && !MAY_IMPORT[from]!.includes(to);
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('use only the packages that belong to the part', () => {
    const wrong = all.filter(({ file, target, kind }) => {
      if (target.startsWith('.') || kind === 'type') return false;
      if (target.startsWith('node:'))
        return partOf(file) === 'protocol' && !/\/(crypto\/node|node\/[\w-]+)\.ts$/.test(file);
      return !MAY_USE[partOf(file)]!.test(target);
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it("keep node's own crypto out of everything that a browser loads", () => {
    const seen = closure(join(root, 'client/browser/index.ts'), ['value', 'dynamic']);
    const wrong = [...seen].flatMap(importsOf).filter((i) => i.kind !== 'type' && i.target.startsWith('node:'));
    expect(wrong.map(show)).toEqual([]);
  });

  it('never lead from the coordinating path to an engine', () => {
    const seen = closure(join(root, 'server/index.ts'), ['value']);
    expect(seen.size).toBeGreaterThan(10);
    const wrong = [...seen]
      .flatMap(importsOf)
      .filter((i) => i.kind === 'value' && /^(@tensorflow|onnxruntime)/.test(i.target));
    expect(wrong.map(show)).toEqual([]);
  });
});

/** Every source file that is reached from `entry` by imports of these kinds. */
function closure(entry: string, kinds: readonly Import['kind'][]): Set<string> {
  const seen = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file) || !existsSync(file)) continue;
    seen.add(file);
    for (const { target, kind } of importsOf(file)) {
      if (target.startsWith('.') && kinds.includes(kind)) open.push(join(dirname(file), target));
    }
  }
  return seen;
}
