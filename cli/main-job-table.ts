/** The main job's result on a terminal: what was run, the table, and whether pre-training was worth it. */
import { spentSentence } from '../simulations/privacy-spent.ts';
import { type Compared, controlSentence, type MainJobResult, ROWS, rowLabels } from '../simulations/result.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatCount, formatPercent, formatSeconds } from './units.ts';

/** Points of the federated row over another one, by label count. */
function pointsOver(result: MainJobResult, row: Compared): string {
  const points = (fraction: number): string => (100 * Math.abs(fraction)).toFixed(1);
  const gains = result.differences[row].map(({ mean, overDraws, overDrawsAndImages }, i) => {
    const errors = `± ${points(overDraws)} (${points(overDrawsAndImages)})`;
    return `${mean < 0 ? '−' : '+'}${points(mean)} ${errors} at ${result.labelsPerClass[i]}`;
  });
  return gains.join(', ');
}

/** Several lines; the run folder is named by the caller. */
export function renderMainJob(result: MainJobResult): string {
  const draws = result.rows.federated.draws[0]?.length ?? 0;
  const labels = rowLabels(result);
  const table = renderTable(
    [
      { title: 'accuracy in %, labels per class →' },
      ...result.labelsPerClass.map((n) => ({ title: String(n), align: 'right' as const })),
    ],
    ROWS.map((row) => {
      const { mean, sd } = result.rows[row];
      return [labels[row], ...mean.map((value, i) => formatPercent(value, sd[i]))];
    }),
  );
  return [
    `${result.dataset} · ${result.partition} · ${formatCount(result.participants, 'participant')} · ${formatCount(result.rounds, 'round')} · seed ${result.seed} · ${result.engine}`,
    `${formatSeconds(result.seconds)}, of which ${formatSeconds(result.federatedSeconds)} federated · ↑ ${formatBytes(result.bytesUp)} ↓ ${formatBytes(result.bytesDown)}`,
    '',
    table,
    '',
    `Mean ± standard deviation over ${draws} label draws, on ${result.testImages} held-out images.`,
    ...(result.quick ? ['--quick: fewer rounds, draws and steps; run without it for numbers to quote.'] : []),
    'Federated pre-training, points ± standard error over the same draws (over the draws and the test images),',
    `  against training from scratch: ${pointsOver(result, 'scratch')};`,
    ...(result.strategy === 'fedavg' ? [] : [`  against plain averaging: ${pointsOver(result, 'fedavg')};`]),
    `  against centralised: ${pointsOver(result, 'central')}.`,
    controlSentence(result),
    result.privacyStatement,
    ...(result.privacySpent ? [spentSentence(result.privacySpent)] : []),
    `model ${result.modelHash}`,
  ].join('\n');
}
