/**
 * The report of a main job: one HTML file that opens without a network (charts by Chart.js, whose source is put into the page).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { LabelCurve } from '../../learning/evaluation/label-budget.ts';
import { spentSentence } from '../privacy-spent.ts';
import { type Compared, controlSentence, type MainJobResult, ROWS, rowLabels } from '../result.ts';
import { chartsOf } from './charts.ts';
import { confusionHtml, mapChart } from './embedding.ts';
import { escapeHtml } from './html.ts';
import { STYLE } from './style.ts';

/** JSON that cannot end the script element it stands in. */
const scriptJson = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

const percent = (x: number): string => (100 * x).toFixed(1);
/** Of a difference, with its sign. */
const points = (x: number): string => `${x >= 0 ? '+' : '−'}${percent(Math.abs(x))}`;
const megabytes = (n: number): string => `${(n / 1e6).toFixed(1)} MB`;

function chartSource(): string {
  const entry = createRequire(import.meta.url).resolve('chart.js');
  return readFileSync(join(dirname(entry), 'chart.umd.min.js'), 'utf8').replace(/\/\/# sourceMappingURL=.*$/m, '');
}

const cell = (curve: LabelCurve, i: number): string =>
  `<td>${percent(curve.mean[i]!)} <small>± ${percent(curve.sd[i]!)}</small></td>`;

function table(result: MainJobResult): string {
  const head = result.labelsPerClass.map((k) => `<th>${k} per class</th>`).join('');
  const labels = rowLabels(result);
  const body = ROWS.map((row) => {
    const cells = result.labelsPerClass.map((_, i) => cell(result.rows[row], i)).join('');
    return `<tr${row.startsWith('federated') ? ' class="ours"' : ''}><td>${escapeHtml(labels[row])}</td>${cells}</tr>`;
  }).join('');
  return `<table><thead><tr><th>test accuracy, % ± sd over draws</th>${head}</tr></thead><tbody>${body}</tbody></table>`;
}

const COMPARED: Readonly<Record<Compared, string>> = {
  scratch: 'training from scratch',
  fedavg: 'plain averaging',
  central: 'centralised SSL',
};

/** How far ahead the federated row is of the others, and how sure that is. */
function differences(result: MainJobResult): string {
  const head = result.labelsPerClass.map((k) => `<th>${k} per class</th>`).join('');
  const compared: Compared[] = result.strategy === 'fedavg' ? ['scratch', 'central'] : ['scratch', 'fedavg', 'central'];
  const body = compared.map((over) => {
    const cells = result.differences[over].map(({ mean, overDraws, overDrawsAndImages }) => {
      return `<td>${points(mean)} <small>± ${percent(overDraws)} (${percent(overDrawsAndImages)})</small></td>`;
    });
    return `<tr><td>${COMPARED[over]}</td>${cells.join('')}</tr>`;
  });
  return `<table><thead><tr><th>federated SSL + linear probe, points over</th>${head}</tr></thead><tbody>${body.join('')}</tbody></table>
<p class="note">Paired by label draw and test image: mean ± its standard error over the draws (over draws and images). A training has luck of its own besides, which one run does not show.</p>`;
}

function facts(result: MainJobResult): string {
  const items: [string, string][] = [
    ['participants', String(result.participants)],
    ['rounds', String(result.rounds)],
    ['data', `${result.dataset}, ${result.partition}`],
    ['federated training', `${result.federatedSeconds.toFixed(1)} s`],
    ['whole job', `${result.seconds.toFixed(1)} s`],
    ['sent by participants', megabytes(result.bytesUp)],
    ['sent to participants', megabytes(result.bytesDown)],
    ['engine', result.engine],
    ['k-NN, all labels', `${percent(result.knn)} %`],
    ['RankMe', result.rankMe.toFixed(1)],
  ];
  return items.map(([k, v]) => `<div><dt>${escapeHtml(k)}</dt><dd>${escapeHtml(v)}</dd></div>`).join('');
}

/** Why the two federated rows differ, in words for whoever reads only this. */
function explanation({ strategy, differences, labelsPerClass }: MainJobResult): string {
  if (strategy !== 'shared-statistics') return '';
  const difference = differences.fedavg.map(({ mean }, i) => `${points(mean)} at ${labelsPerClass[i]}`);
  return `<section><h2>Why they share statistics</h2>
<p>Learning without labels, an encoder must tell images apart. A participant that holds one or two classes and trains by itself pushes its own images apart, since it has no others;
averaging ten such encoders does not undo it. The loss used here depends on everybody else’s images through one small matrix only, the mean correlation of the projected features.
So in each round the participants first add up their matrices, and then, knowing the sum, their gradients: what comes out is the step that one machine with all the images would have taken, however
they are spread. No participant sees another’s images or matrix, only sums. Points over plain averaging of weights, with as many images seen: ${difference.join(', ')} labels per class.</p></section>`;
}

/** @param planText the resolved plan, as it is stored in the run folder */
export function renderReport(result: MainJobResult, planText: string): string {
  const charts = [...chartsOf(result), mapChart(result.picture, result.classes)];
  const sections = charts
    .map(
      ({ id, title, note }) =>
        `<section><h2>${escapeHtml(title)}</h2><div class="chart"><canvas id="${id}" role="img" aria-label="${escapeHtml(title)}"></canvas></div><p class="note">${escapeHtml(note)}</p></section>`,
    )
    .join('\n');
  const chosen = Object.entries(result.chosen)
    .map(([k, v]) => `<li>${escapeHtml(k)}: ${escapeHtml(v)}</li>`)
    .join('');
  const quick = result.quick
    ? '<p class="note"><strong>Quick run:</strong> fewer rounds and label draws than the full job; the figures are not comparable with it.</p>'
    : '';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tacit: ${escapeHtml(result.dataset)}, ${result.rounds} rounds</title><style>${STYLE}</style></head>
<body><main><h1>Tacit</h1><p class="motto">learned without labels, shared without showing</p>
<dl class="facts">${facts(result)}</dl>
<section><h2>What the labels were worth</h2>${table(result)}${differences(result)}${quick}
<p class="note">${escapeHtml(controlSentence(result))}</p>
<p class="note">Accuracy on ${result.testImages} held-out images, touched once at the end. What was chosen, was chosen on a validation split of the training images:</p><ul class="note">${chosen}</ul></section>
${explanation(result)}
${sections}
${confusionHtml(result.picture, result.classes)}
<section><h2>What the coordinator could see</h2><p>${escapeHtml(result.privacyStatement)}</p>${result.privacySpent ? `<p>${escapeHtml(spentSentence(result.privacySpent))}</p>` : ''}</section>
<section><h2>To run it again</h2><p>Seed ${result.seed}. Final encoder (SHA-256 of its safetensors bytes): <code>${escapeHtml(result.modelHash)}</code></p>
<details><summary>The resolved plan</summary><pre>${escapeHtml(planText)}</pre></details></section>
</main><script>${chartSource()}</script><script>
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
Chart.defaults.color = dark ? '#9aa5b8' : '#5b6577'; Chart.defaults.borderColor = dark ? '#2c3443' : '#dfe4ec';
for (const { id, config } of ${scriptJson(charts.map(({ id, config }) => ({ id, config })))}) new Chart(document.getElementById(id), config);
</script></body></html>
`;
}
