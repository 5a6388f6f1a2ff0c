import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { type CsvOptions, parseCsv, rowShape } from '../../../../learning/data/csv.ts';
import { csvRows } from '../../../../learning/data/csv-rows.ts';
import { imagesOf, labelsOf } from '../../../../learning/data/labels.ts';
import { openSource } from '../../../../learning/data/open.ts';

const folder = mkdtempSync(join(tmpdir(), 'csv-'));
afterAll(() => rmSync(folder, { recursive: true }));

const save = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

const parse = (text: string, options: CsvOptions = {}) => parseCsv([text], options, 'x.csv');

const rowsOf = async (...pieces: string[]): Promise<string[][]> => {
  const rows: string[][] = [];
  for await (const { cells } of csvRows(pieces)) rows.push([...cells]);
  return rows;
};

describe('CSV rows', () => {
  it('come out the same however the text is cut', async () => {
    const text = '\uFEFFa,"b ""c"", d",e\r\n\n1,"two\nlines",3\n4,5,6';
    const wanted = [
      ['a', 'b "c", d', 'e'],
      ['1', 'two\nlines', '3'],
      ['4', '5', '6'],
    ];
    for (let size = 1; size <= text.length; size++) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
        text.slice(i * size, (i + 1) * size),
      );
      expect(await rowsOf(...pieces)).toEqual(wanted);
    }
  });

  it('are split at whichever separator the first row has', async () => {
    expect(await rowsOf('a;b;c,d\n1;2;3')).toEqual([
      ['a', 'b', 'c,d'],
      ['1', '2', '3'],
    ]);
    expect(await rowsOf('1\t2\n3\t4\n')).toEqual([
      ['1', '2'],
      ['3', '4'],
    ]);
  });
});

describe('CSV tables', () => {
  it('with a header: the label column by its usual name or by the one given', async () => {
    const usual = await parse('label,p0,p1,p2,p3\n7,0,255,3,4\n3,1,2,3,4\n');
    expect(usual).toMatchObject({ rows: 2, columns: 4, maximum: 255, groups: ['3', '7'] });
    expect([...usual.labels!]).toEqual([1, 0]);
    expect([...usual.data]).toEqual([0, 255, 3, 4, 1, 2, 3, 4]);
    expect(usual.data).toBeInstanceOf(Uint8Array);
    const given = await parse('p0,animal\n9,cat\n10,ape\n11,cat\n', { labelColumn: 'animal' });
    expect(given.groups).toEqual(['ape', 'cat']);
    expect([...given.labels!]).toEqual([1, 0, 1]);
  });

  it('without a header: the label column by its number', async () => {
    const table = await parse('0,16,8\n4,12,9\n', { labelColumn: '-1', maximum: 16 });
    expect(table).toMatchObject({ rows: 2, columns: 2, maximum: 16, groups: ['8', '9'] });
    const words = await parse('cat,0,1\nape,1,0\n', { labelColumn: '0' });
    expect(words).toMatchObject({ rows: 2, columns: 2, maximum: 1, groups: ['ape', 'cat'] });
    expect(words.data).toHaveLength(4);
  });

  it('a header of numbers is one if the file says so', async () => {
    expect((await parse('0,1\n5,6\n')).rows).toBe(2);
    expect((await parse('0,1\n5,6\n', { header: true })).rows).toBe(1);
  });

  it('full intensity: 1, 255 or what was declared', async () => {
    expect((await parse('0,0.5\n1,0.25\n')).maximum).toBe(1);
    expect((await parse('0,0.5\n1,2\n')).maximum).toBe(255);
    expect((await parse('0,1000\n', { maximum: 65535 })).maximum).toBe(65535);
    await expect(parse('0,1\n300,2\n')).rejects.toThrow('x.csv, line 2 holds 300, more than the full intensity 255');
    await expect(parse('0,17\n', { maximum: 16 })).rejects.toThrow(/holds 17/);
    await expect(parse('0,1\n3,-2\n')).rejects.toThrow('x.csv, line 2 holds -2; pixels must not be negative');
  });

  it('keeps fractions that come after many bytes', async () => {
    const rows = Array.from({ length: 70_000 }, (_, i) => (i === 69_999 ? '0.5' : String(i % 200)));
    const { data } = await parse(rows.join('\n'));
    expect(data).toHaveLength(70_000);
    expect([data[0], data[199], data[65_536], data[69_999]]).toEqual([0, 199, 65_536 % 200, 0.5]);
  });

  const faults: [string, CsvOptions, string][] = [
    ['1,2,3\n1,2\n', {}, 'x.csv, line 2 has 2 columns, the first row has 3'],
    ['1,2\n3,\n', {}, 'x.csv, line 2, column 2: "" is not a number'],
    ['a,b\n3,NaN\n', {}, 'x.csv, line 2, column 2: "NaN" is not a number'],
    ['a,b\n3,4\n', { labelColumn: 'kind' }, 'x.csv has no column "kind"; its columns are a, b'],
    ['1,2\n', { labelColumn: '5' }, 'x.csv has no column "5"; it has no header'],
    ['', {}, 'x.csv is empty'],
    ['\n \n', {}, 'x.csv is empty'],
  ];
  it.each(faults)('%j %j is refused', async (text, options, message) => {
    const parsing = parse(text, options);
    await expect(parsing).rejects.toThrow(message);
    await expect(parsing).rejects.toMatchObject({ code: 'data/unreadable' });
  });

  it('gives a row the shape of the plan, or that of a square', () => {
    expect(rowShape(64, [8, 8, 1], 'x')).toEqual([8, 8, 1]);
    expect(rowShape(64, [4, 16, 1], 'x')).toEqual([4, 16, 1]);
    expect(rowShape(784, [32, 32, 1], 'x')).toEqual([28, 28, 1]);
    expect(rowShape(192, undefined, 'x')).toEqual([8, 8, 3]);
    expect(() => rowShape(65, [8, 8, 1], 'x.csv')).toThrow(
      'x.csv has 65 pixel columns, which is no square image; the plan wants 8×8×1 = 64',
    );
  });
});

describe('CSV sources', () => {
  const text = 'label,a,b,c,d\none,0,51,102,255\ntwo,255,0,0,0\n';

  it('plain and gzip, with labels', async () => {
    for (const path of [save('a.csv', text), save('a.csv.gz', gzipSync(text))]) {
      const source = await openSource({ kind: 'csv', path }, { shape: [2, 2, 1], resize: 'error' });
      expect([...labelsOf(source)]).toEqual([0, 1]);
      expect([...(await imagesOf(source)).data]).toEqual([0, 0.2, 0.4, 1, 1, 0, 0, 0].map(Math.fround));
    }
  });

  it('truncated gzip, missing file, wrong shape', async () => {
    const contract = { shape: [2, 2, 1], resize: 'error' } as const;
    const long = gzipSync(Array.from({ length: 5000 }, (_, i) => `${i % 7},${(i * 31) % 251},0,1`).join('\n'));
    const cut = openSource({ kind: 'csv', path: save('cut.csv.gz', long.subarray(0, long.length >> 1)) }, contract);
    await expect(cut).rejects.toMatchObject({ code: 'data/unreadable', message: expect.stringContaining('truncated') });
    const missing = openSource({ kind: 'csv', path: join(folder, 'none.csv') }, contract);
    await expect(missing).rejects.toMatchObject({ code: 'data/not-found' });
    const five = openSource({ kind: 'csv', path: save('five.csv', '1,2,3,4,5\n') }, contract);
    await expect(five).rejects.toMatchObject({
      code: 'data/wrong-shape',
      hint: expect.stringContaining('labelColumn'),
    });
  });
});
