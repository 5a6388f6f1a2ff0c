/** The report's charts as Chart.js configurations: plain data, drawn when the page opens. */
import { type MainJobResult, ROWS, type RowName, rowLabels } from '../result.ts';

const COLOURS: Readonly<Record<RowName, string>> = {
  pixels: '#94a3b8',
  random: '#cbd5e1',
  scratch: '#d97706',
  local: '#a855f7',
  central: '#64748b',
  fedavg: '#be123c',
  federated: '#2563eb',
  federatedFinetuned: '#0f766e',
};
export const CLASS_COLOURS = [
  '#4e79a7',
  '#f28e2b',
  '#e15759',
  '#76b7b2',
  '#59a14f',
  '#edc948',
  '#b07aa1',
  '#ff9da7',
  '#9c755f',
  '#bab0ac',
] as const;

/** A Chart.js configuration; what is in it is JSON. */
export interface Chart {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly config: object;
}

const percent = (x: number): number => Math.round(x * 1000) / 10;
const axis = (text: string, more: object = {}): object => ({ title: { display: true, text }, ...more });

function accuracyChart(result: MainJobResult): Chart {
  const labels = rowLabels(result);
  const datasets = ROWS.map((row) => ({
    label: labels[row],
    data: result.rows[row].mean.map(percent),
    borderColor: COLOURS[row],
    backgroundColor: COLOURS[row],
    borderWidth: row.startsWith('federated') ? 3 : 1.5,
    borderDash: row === 'pixels' || row === 'random' ? [5, 4] : [],
    tension: 0.2,
  }));
  return {
    id: 'accuracy',
    title: 'Accuracy by number of labels',
    note: `Mean over ${result.rows.federated.draws[0]?.length ?? 0} draws of labels; the same draws in every row.`,
    config: {
      type: 'line',
      data: { labels: result.labelsPerClass.map(String), datasets },
      options: {
        maintainAspectRatio: false,
        animation: false,
        interaction: { mode: 'index', intersect: false },
        scales: { x: axis('labels per class'), y: axis('test accuracy, %') },
      },
    },
  };
}

function roundsChart({ history }: MainJobResult): Chart {
  const line = (label: string, data: number[], colour: string, yAxisID: string): object => ({
    label,
    data,
    yAxisID,
    borderColor: colour,
    backgroundColor: colour,
    pointRadius: 0,
    borderWidth: 2,
  });
  return {
    id: 'rounds',
    title: 'The rounds',
    note: 'Loss: mean over the local steps of all participants, as it was aggregated. Update: L2 norm of the change of the global model.',
    config: {
      type: 'line',
      data: {
        labels: history.map((h) => String(h.round + 1)),
        datasets: [
          line(
            'pretext loss',
            history.map((h) => h.loss),
            '#2563eb',
            'y',
          ),
          line(
            'norm of the update',
            history.map((h) => h.updateNorm),
            '#d97706',
            'y1',
          ),
        ],
      },
      options: {
        maintainAspectRatio: false,
        animation: false,
        scales: {
          x: axis('round'),
          y: axis('loss'),
          y1: axis('norm', { position: 'right', grid: { drawOnChartArea: false } }),
        },
      },
    },
  };
}

function partitionChart({ partitionMatrix, classes, partition }: MainJobResult): Chart {
  return {
    id: 'partition',
    title: 'Who holds what',
    note: `Images per participant and class (partition ${partition}). Labels are never used in pre-training; the picture shows how different the participants are.`,
    config: {
      type: 'bar',
      data: {
        labels: partitionMatrix.map((_, i) => `participant ${i + 1}`),
        datasets: classes.map((name, c) => ({
          label: name,
          data: partitionMatrix.map((row) => row[c] ?? 0),
          backgroundColor: CLASS_COLOURS[c % CLASS_COLOURS.length],
        })),
      },
      options: {
        maintainAspectRatio: false,
        animation: false,
        scales: { x: { stacked: true }, y: axis('images', { stacked: true }) },
      },
    },
  };
}

/** Each participant alone, and the same participants together, in two ways: what who holds what does to each. */
function togetherChart(result: MainJobResult): Chart {
  const { alone, rows, labelsPerClass } = result;
  const labels = rowLabels(result);
  const line = (row: RowName): object => ({
    type: 'line',
    label: labels[row],
    data: alone.map(() => percent(rows[row].mean[0]!)),
    borderColor: COLOURS[row],
    backgroundColor: COLOURS[row],
    pointRadius: 0,
    borderWidth: row === 'federated' ? 3 : 2,
    borderDash: row === 'scratch' ? [5, 4] : [],
  });
  return {
    id: 'together',
    title: `Alone and together: accuracy with ${labelsPerClass[0]} label${labelsPerClass[0] === 1 ? '' : 's'} per class`,
    note: 'Bars: an encoder that each participant trained by itself, on what the picture above says that it holds. Lines: the encoders that they trained together, and the baseline that needs no pre-training.',
    config: {
      type: 'bar',
      data: {
        labels: alone.map((_, i) => `participant ${i + 1}`),
        datasets: [
          line('federated'),
          line('fedavg'),
          line('scratch'),
          {
            label: 'this participant alone',
            data: alone.map((means) => percent(means[0]!)),
            backgroundColor: '#a855f755',
          },
        ],
      },
      options: {
        maintainAspectRatio: false,
        animation: false,
        scales: { y: axis('test accuracy, %', { suggestedMin: 40 }) },
      },
    },
  };
}

export const chartsOf = (result: MainJobResult): readonly Chart[] => [
  accuracyChart(result),
  roundsChart(result),
  partitionChart(result),
  togetherChart(result),
];
