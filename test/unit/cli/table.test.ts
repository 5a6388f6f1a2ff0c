import { expect, test } from 'vitest';
import { displayWidth, renderTable } from '../../../cli/table.ts';
import { formatBytes, formatCount, formatPercent, formatSeconds } from '../../../cli/units.ts';

test('columns align by what a terminal shows, not by code units', () => {
  const table = renderTable(
    [{ title: 'row' }, { title: '1', align: 'right' }, { title: '10', align: 'right' }],
    [
      ['pixels', '55.1 ± 3.0', '8.3'],
      ['e\u0301te\u0301', '9', '100.0'],
      ['数字', '1', '2'],
    ],
  );
  expect(table.split('\n')).toEqual([
    'row              1     10',
    '──────  ──────────  ─────',
    'pixels  55.1 ± 3.0    8.3',
    'e\u0301te\u0301              9  100.0',
    '数字             1      2',
  ]);
  expect(new Set(table.split('\n').slice(1).map(displayWidth))).toEqual(new Set([25]));
});

test('missing cells are empty', () => {
  expect(renderTable([{ title: 'a' }, { title: 'b' }], [['x']])).toBe('a  b\n─  ─\nx');
});

test('numbers as people read them', () => {
  expect([0, 999, 1000, 1_234_567, 99_600, 2.5e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '1.2 MB',
    '100 kB',
    '2.5 TB',
  ]);
  expect([-1, 48.4, 65, 7500].map(formatSeconds)).toEqual(['0 s', '48 s', '1 min 05 s', '2 h 05 min']);
  expect(formatPercent(0.8779, 0.021)).toBe('87.8 ± 2.1');
  expect(formatPercent(0.5)).toBe('50.0');
  expect(formatCount(93120)).toBe('93,120');
  expect([0, 1, 2000].map((n) => formatCount(n, 'round'))).toEqual(['0 rounds', '1 round', '2,000 rounds']);
});
