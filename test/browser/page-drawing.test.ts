/** What the page draws: images as the encoder sees them, and the line of losses. */
import { describe, expect, it } from 'vitest';
import { chartPoints, chartWords, drawLosses } from '../../client/browser/page/loss-chart.ts';
import { rgbaOf, thumbnail } from '../../client/browser/page/thumbnail.ts';
import { float32 } from '../../protocol/tensors.ts';

describe('a thumbnail', () => {
  const batch = float32([2, 1, 2, 3], Float32Array.of(0, 0, 0, 0, 0, 0, 1, 0.5, 0, 0, 1, 1));

  it('shows the example that was asked for, in its colours', () => {
    expect([...rgbaOf(batch, 1)]).toEqual([255, 128, 0, 255, 0, 255, 255, 255]);
    const canvas = thumbnail(batch, 1);
    expect([canvas.width, canvas.height]).toEqual([2, 1]);
    expect([...canvas.getContext('2d')!.getImageData(0, 0, 2, 1).data]).toEqual([255, 128, 0, 255, 0, 255, 255, 255]);
  });

  it('shows one channel as grey', () => {
    expect([...rgbaOf(float32([1, 1, 1, 1], Float32Array.of(1)), 0)]).toEqual([255, 255, 255, 255]);
  });
});

describe('the loss chart', () => {
  it('holds every loss, first to last, the higher the larger', () => {
    const points = chartPoints([3, 1, 2]);
    expect(points.map(({ x }) => x)).toEqual([...points.map(({ x }) => x)].sort((a, b) => a - b));
    expect(points[1]!.y).toBeGreaterThan(points[2]!.y);
    expect(points[2]!.y).toBeGreaterThan(points[0]!.y);
    for (const { x, y } of chartPoints([5, 5, 5])) expect([x, y].every(Number.isFinite)).toBe(true);
  });

  it('says in words what it shows', () => {
    expect(chartWords([])).toBe('No loss yet');
    expect(chartWords([2, 1])).toBe('Loss of 2 rounds: 2.000 at first, 1.000 now');
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    drawLosses(svg, [2, 1]);
    expect(svg.querySelectorAll('path')).toHaveLength(2);
    expect(svg.getAttribute('aria-label')).toMatch(/2 rounds/);
    drawLosses(svg, []);
    expect(svg.childElementCount).toBe(0);
  });
});
