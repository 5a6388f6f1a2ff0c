import { expect, test } from 'vitest';
import { confusionHtml, mapChart } from '../../../simulations/report/embedding.ts';

const picture = {
  map: [-1, 0, 1, 0.5, 0, -1],
  labels: [1, 0, 1],
  confusion: [
    [0, 1],
    [0, 2],
  ],
  perClass: [0, 1],
  accuracy: 2 / 3,
};

test('the map has a point for each image, under its own class', () => {
  const { config } = mapChart(picture, ['cat', 'dog']);
  const { datasets } = (config as { data: { datasets: { label: string; data: unknown[] }[] } }).data;
  expect(datasets.map(({ label, data }) => [label, data])).toEqual([
    ['cat', [{ x: 1, y: 0.5 }]],
    [
      'dog',
      [
        { x: -1, y: 0 },
        { x: 0, y: -1 },
      ],
    ],
  ]);
});

test('the confusion table has truth in rows, counts in place, and names that cannot become markup', () => {
  const html = confusionHtml(picture, ['<b>', 'dog']);
  expect(html).not.toContain('<b>');
  const cells = [...html.matchAll(/<tr><td>([^<]*)<\/td>(.*?)<\/tr>/g)].map(([, name, row]) => [
    name,
    [...row!.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map((m) => m[1]),
  ]);
  expect(cells).toEqual([
    ['&lt;b&gt;', ['', '1', '0.0']],
    ['dog', ['', '2', '100.0']],
  ]);
  expect(html).toContain('66.7 % right');
});
