/**
 * What a plan amounts to: parameters, the sections of a report, bytes over the wire, the step of the fixed-point grid, and what a
 * person may not have meant. Computed from the plan alone, as every participant computes it.
 */
import { stringify } from 'yaml';
import { type StartingPoint, type WeightsReport, weightsLines } from '../learning/initial-weights.ts';
import { augmentationOf, pretextOf } from '../learning/methods.ts';
import { modelOf, parameterCount } from '../learning/model.ts';
import { planBytesOf } from '../learning/run-folder.ts';
import { scaleOf } from '../protocol/fixed-point.ts';
import type { Plan } from '../protocol/plan.ts';
import { judgeNoise } from '../protocol/privacy/usefulness.ts';
import { DEFAULT_GROUP, leastInSum } from '../protocol/secagg/rules.ts';
import { exchangesOf, type Section, wordsOf } from '../protocol/sections.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatCount } from './units.ts';

export interface SectionCheck {
  readonly exchange: string;
  readonly section: string;
  readonly words: number;
  readonly reduce: Section['reduce'];
  readonly bound: number;
  /** Distance of two neighbouring values on the fixed-point grid. */
  readonly step: number;
}

export interface PlanCheck {
  readonly plan: Plan;
  readonly planBytes: number;
  readonly parameters: Readonly<Record<string, number>>;
  readonly sections: readonly SectionCheck[];
  /** For one participant and one round, without framing. */
  readonly bytesPerRound: { readonly down: number; readonly up: number };
  /** What fitted of the initial weights that the plan names, if it names some. */
  readonly initialWeights?: WeightsReport;
  readonly warnings: readonly string[];
}

function warningsOf(plan: Plan, delta: SectionCheck): string[] {
  const { rounds, training, data, admission, privacy } = plan;
  const warnings: string[] = [];
  const say = (holds: boolean, text: string): void => {
    if (holds) warnings.push(text);
  };
  say(
    rounds.overSelection > 1 || !rounds.waitForAll,
    'rounds: which reports come first decides the result, so the same seed may give another model (overSelection: 1 and waitForAll: true make it repeatable)',
  );
  say(
    rounds.minReports < 2,
    'rounds.minReports: a round may be committed with a single report, which then is the update',
  );
  say(
    data.minExamples < training.batch,
    `data.minExamples: ${data.minExamples} is less than training.batch ${training.batch}, so a batch may hold an image more than once`,
  );
  const { views } = pretextOf(plan);
  const varied = augmentationOf(plan).specs(plan.augmentation, data.shape, training.batch);
  say(
    views > 1 && Object.keys(varied).length === 0,
    `augmentation: nothing in it varies, so the ${views} views of an image are the same, and ${plan.pretext.name} has nothing to learn from`,
  );
  say(
    training.schedule.warmupRounds >= rounds.count,
    'training.schedule.warmupRounds: the learning rate never leaves its warm-up',
  );
  say(
    delta.step > (0.01 * delta.bound) / Math.sqrt(delta.words),
    'privacy.clipNorm: the fixed-point grid is coarse against an even spread of the update; fewer participants or a smaller norm make it finer',
  );
  say(privacy.mode === 'sealed', 'privacy.mode sealed: the coordinator can open and read each report');
  say(
    privacy.mode !== 'sealed' && rounds.maxCohort > DEFAULT_GROUP,
    `rounds.maxCohort: a round of more than ${DEFAULT_GROUP} participants is masked in groups, and the coordinator sees the sum of each, of at least ${leastInSum(rounds)} reports`,
  );
  say(admission.certificates === 'none', 'admission.certificates none: anybody who knows the address may take part');
  if (privacy.mode === 'secagg+dp') {
    const { noiseMultiplier, clipNorm } = privacy;
    const noise = judgeNoise({ noiseMultiplier, participants: rounds.cohort, dimension: delta.words, clipNorm });
    say(noise.verdict !== 'useful', `privacy.noiseMultiplier: ${noise.text}`);
  }
  return warnings;
}

/** Works out what a complete plan costs. */
export async function checkPlan({ plan, report }: StartingPoint): Promise<PlanCheck> {
  const model = modelOf(plan);
  const exchanges = exchangesOf(plan, model.reportShape);
  const sections = exchanges.flatMap((exchange) =>
    exchange.sections.map((section) => ({
      exchange: exchange.name,
      section: section.name,
      words: section.length,
      reduce: section.reduce,
      bound: section.bound,
      step: 1 / scaleOf(section, plan.rounds.maxCohort),
    })),
  );
  const parameters = Object.fromEntries(model.groups.map((group) => [group.name, parameterCount(group.manifest)]));
  const bytesPerRound = {
    down: 4 * (parameterCount(model.aggregated) + exchanges.reduce((n, { brings }) => n + parameterCount(brings), 0)),
    up: 4 * exchanges.reduce((n, exchange) => n + wordsOf(exchange), 0),
  };
  const delta = sections.find((section) => section.section === 'delta')!;
  return {
    plan,
    planBytes: planBytesOf(plan).length,
    parameters,
    sections,
    bytesPerRound,
    ...(report ? { initialWeights: report } : {}),
    warnings: warningsOf(plan, delta),
  };
}

/** The check as text: the plan as YAML, then sizes, then warnings. */
export function renderPlanCheck(check: PlanCheck): string {
  const { plan, parameters, sections, bytesPerRound: bytes, warnings } = check;
  const total = Object.values(parameters).reduce((a, b) => a + b, 0);
  const groups = Object.entries(parameters).map(([name, n]) => `${name} ${formatCount(n)}`);
  const cohort = plan.rounds.cohort;
  const table = renderTable(
    [
      { title: 'section' },
      { title: 'exchange' },
      { title: 'words', align: 'right' },
      { title: 'reduced as' },
      { title: 'bound', align: 'right' },
      { title: 'fixed-point step', align: 'right' },
    ],
    sections.map((s) => [
      s.section,
      s.exchange,
      formatCount(s.words),
      s.reduce,
      String(s.bound),
      s.step.toExponential(2),
    ]),
  );
  return [
    stringify(plan, { flowCollectionPadding: false }).trimEnd(),
    '',
    `parameters   ${formatCount(total)} (${groups.join(', ')})`,
    `one round    ↓ ${formatBytes(bytes.down)} ↑ ${formatBytes(bytes.up)} for a participant, ${formatBytes(cohort * (bytes.down + bytes.up))} for a cohort of ${cohort}`,
    `all rounds   ${formatBytes(plan.rounds.count * cohort * (bytes.down + bytes.up))} in ${plan.rounds.count} rounds`,
    '',
    table,
    ...(check.initialWeights ? ['', ...weightsLines(check.initialWeights)] : []),
    ...(warnings.length > 0 ? ['', ...warnings.map((text) => `note: ${text}`)] : []),
  ].join('\n');
}
