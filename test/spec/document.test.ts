/** SPEC.md against the code: what it lists is what there is, and every rule has a test that names it. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pretexts } from '../../learning/registry.ts';
import { ERRORS } from '../../protocol/errors.ts';
import { clientMessage, REPLY_TO, serverMessage, WITH_BODY } from '../../protocol/messages.ts';
import { LIMITS } from '../../protocol/transport.ts';

const root = new URL('../../', import.meta.url);
const spec = readFileSync(new URL('protocol/SPEC.md', root), 'utf8');

/** Cells of the table rows that follow a heading row. */
function tables(heading: RegExp): string[][] {
  const rows: string[][] = [];
  let inside = false;
  for (const line of spec.split('\n')) {
    if (!line.startsWith('|')) inside = false;
    else if (heading.test(line)) inside = true;
    else if (inside && !/^\| ?--/.test(line))
      rows.push(
        line
          .slice(2, -2)
          .split(' | ')
          .map((cell) => cell.trim()),
      );
  }
  return rows;
}

interface Schema {
  readonly shape: Readonly<Record<string, { readonly def: { readonly type: string } }>>;
}
const messages = [...clientMessage.options, ...serverMessage.options].map((option) => option as unknown as Schema);
const typeOf = (schema: Schema): string => (schema.shape.type as unknown as { value: string }).value;

describe('messages', () => {
  const rows = tables(/^\| message +\| keys +\| reply +\|/);

  test('the tables list every message with its keys, the optional ones marked', () => {
    const listed = new Map(
      rows
        .filter(([name]) => name!.startsWith('`'))
        .map(([name, keys]) => [
          name!.split('`')[1]!,
          [...keys!.matchAll(/`(\w+)`(\??) ?/g)].map((m) => m[1]! + m[2]!),
        ]),
    );
    for (const schema of messages) {
      const keys = Object.entries(schema.shape).map(([key, { def }]) => key + (def.type === 'optional' ? '?' : ''));
      // names in parentheses after a key (values of an enumeration) are not keys
      const cell = rows.find(([name]) => name!.startsWith(`\`${typeOf(schema)}\``))?.[1] ?? '';
      const bare = [...cell.replaceAll(/\([^)]*\)/g, '').matchAll(/`(\w+)`(\??)/g)].map((m) => m[1]! + m[2]!);
      expect(bare.sort(), typeOf(schema)).toEqual(keys.sort());
      expect(cell.includes('; body'), typeOf(schema)).toBe(WITH_BODY.has(typeOf(schema)));
    }
    const known = new Set([...messages.map(typeOf), 'capabilities']);
    expect([...listed.keys()].filter((name) => !known.has(name))).toEqual([]);
  });

  test('and the reply to each request', () => {
    for (const [request, reply] of Object.entries(REPLY_TO)) {
      expect(rows.find(([name]) => name === `\`${request}\` P→C`)?.[2], request).toBe(`\`${reply}\``);
    }
  });
});

test('the table of errors', () => {
  const rows = tables(/^\| code +\| retryable +\| meaning +\|/).map(([code, retryable, meaning]) => [
    code,
    retryable === 'yes',
    meaning,
  ]);
  expect(rows, 'run `npm run build && node scripts/build-vectors.mjs`').toEqual(
    Object.entries(ERRORS).map(([code, { retryable, meaning }]) => [`\`${code}\``, retryable, meaning]),
  );
});

test('the table of limits', () => {
  const rows = Object.fromEntries(
    tables(/^\| limit +\| bytes +\|/).map(([name, bytes]) => [name, Number(bytes!.replaceAll(',', ''))]),
  );
  expect(rows).toEqual({
    header: LIMITS.headerBytes,
    body: LIMITS.bodyBytes,
    frame: LIMITS.frameBytes,
    'sent by P before `identified`': LIMITS.bytesBeforeSignIn,
    chunk: LIMITS.chunkBytes,
    plan: LIMITS.planBytes,
    blob: LIMITS.blobBytes,
  });
  expect(spec).toContain(`at most ${LIMITS.window} chunks at a time`);
});

test('the range of the loss of every pretext task', () => {
  expect(tables(/^\| pretext task +\| range +\|/).map(([name]) => name)).toEqual(
    [...pretexts.keys()].map((name) => `\`${name}\``),
  );
});

test('every rule has an id of its own and a test that names it', () => {
  const ids = [...spec.matchAll(/^- \[([A-Z]{2}\d+)\]/gm)].map(([, id]) => id!);
  expect(new Set(ids).size).toBe(ids.length);
  const titles = readdirSync(new URL('test/', root), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('document.test.ts'))
    .flatMap((path) => [...readFileSync(new URL(`test/${path}`, root), 'utf8').matchAll(/\[([A-Z]{2}\d+)\]/g)])
    .map(([, id]) => id!);
  expect(
    ids.filter((id) => !titles.includes(id)),
    'rules without a test',
  ).toEqual([]);
  expect(
    [...new Set(titles)].filter((id) => !ids.includes(id)),
    'tests of rules that do not exist',
  ).toEqual([]);
});
