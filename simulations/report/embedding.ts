/** What the encoder made of the test images: a map of their features, and which classes a linear probe takes for which. */
import type { EmbeddingPicture } from '../result.ts';
import { type Chart, CLASS_COLOURS } from './charts.ts';
import { escapeHtml } from './html.ts';

/** Chart.js draws a point for each row; the legend hides and shows classes. */
export function mapChart({ map, labels }: EmbeddingPicture, classes: readonly string[]): Chart {
  const datasets = classes.map((name, c) => ({
    label: name,
    data: labels.flatMap((label, i) => (label === c ? [{ x: map[2 * i]!, y: map[2 * i + 1]! }] : [])),
    backgroundColor: CLASS_COLOURS[c % CLASS_COLOURS.length],
    pointRadius: 3,
  }));
  const silent = { ticks: { display: false }, grid: { display: false } };
  return {
    id: 'map',
    title: 'A map of the test images, as the encoder sees them',
    note: 'Each point is a held-out image, coloured by a class that the encoder was never told; near points have similar features (UMAP). Distances between groups and their sizes mean little.',
    config: {
      type: 'scatter',
      data: { datasets },
      options: { maintainAspectRatio: false, animation: false, scales: { x: silent, y: silent } },
    },
  };
}

/** Truth in rows, prediction in columns, with the accuracy of each class. */
export function confusionHtml({ confusion, perClass, accuracy }: EmbeddingPicture, classes: readonly string[]): string {
  const most = Math.max(1, ...confusion.flat());
  const head = classes.map((name) => `<th>${escapeHtml(name)}</th>`).join('');
  const rows = confusion.map((counts, truth) => {
    const cells = counts.map((n, predicted) => {
      const colour = predicted === truth ? '13 148 136' : '217 119 6';
      const strength = n === 0 ? 0 : 0.15 + 0.6 * (n / most);
      return `<td style="background:rgb(${colour} / ${strength.toFixed(2)})">${n === 0 ? '' : n}</td>`;
    });
    const own = perClass[truth];
    const share = own === null || own === undefined ? '–' : (100 * own).toFixed(1);
    return `<tr><td>${escapeHtml(classes[truth]!)}</td>${cells.join('')}<td>${share}</td></tr>`;
  });
  return `<section><h2>Which classes are taken for which</h2><table class="confusion"><thead><tr><th>is ↓ called →</th>${head}<th>% right</th></tr></thead>
<tbody>${rows.join('')}</tbody></table><p class="note">Linear probe on the federated encoder with all training labels: ${(100 * accuracy).toFixed(1)} % right.</p></section>`;
}
