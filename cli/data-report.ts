/** `tacit data check`: what a plan (or, without one, the data themselves) require, and the report as text. */
import { checkSource, type DataReport, type DataRequirements, type InspectOptions } from '../learning/data/check.ts';
import { openRasters } from '../learning/data/open.ts';
import type { SourceSpec } from '../learning/data/source.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { formatCount } from './units.ts';

/** Images that are tried to learn the size of the others. */
const TRIED = 20;

/** Without a plan every size will do: the first readable image says what the others are compared with. */
async function requirementsOf(spec: SourceSpec): Promise<DataRequirements> {
  const rasters = await openRasters(spec);
  for (let i = 0; i < Math.min(TRIED, rasters.length); i++) {
    try {
      const { height, width, channels } = await rasters.raster(i);
      return { shape: [height, width, channels], resize: 'contain', minExamples: 1 };
    } catch (thrown) {
      if (!(thrown instanceof TacitError)) throw thrown;
    }
  }
  return { shape: [1, 1, 1], resize: 'contain', minExamples: 1 };
}

/** Looks through the source. @throws TacitError data/not-found, data/unreadable when it cannot be opened at all */
export const reportOn = async (
  spec: SourceSpec,
  plan: Plan | undefined,
  options: InspectOptions,
): Promise<DataReport> => checkSource(spec, plan ? plan.data : await requirementsOf(spec), options);

function fitLines(report: DataReport, plan: Plan | undefined): string[] {
  if (!plan) return [];
  const { exact, resized, recoloured, refused } = report.fit;
  const parts = [
    `${formatCount(exact)} as they are`,
    ...(resized > 0 ? [`${formatCount(resized)} resized (${plan.data.resize})`] : []),
    ...(recoloured > 0 ? [`${formatCount(recoloured)} with colours changed`] : []),
    ...(refused > 0 ? [`${formatCount(refused)} refused`] : []),
  ];
  return [
    `plan       ${plan.task}: ${plan.data.shape.join('×')}, at least ${plan.data.minExamples} examples`,
    `fit        ${parts.join(', ')}`,
  ];
}

/** The report for people. */
export function renderDataReport(report: DataReport, plan: Plan | undefined): string {
  const { examples, inspected, shapes, range, unreadable, skipped, groups } = report;
  const looked = inspected < examples ? `, ${formatCount(inspected)} of them looked at` : '';
  const sizes = shapes
    .slice(0, 5)
    .map((s) => `${s.height}×${s.width}×${s.channels} (${formatCount(s.count)}, values up to ${s.maximum})`);
  const further = shapes.length > 5 || report.otherShapes > 0 ? ', …' : '';
  const listed = groups?.slice(0, 12).map((group) => `${group.name} ${formatCount(group.count)}`);
  return [
    `source     ${report.source}`,
    `examples   ${formatCount(examples)}${looked}`,
    `sizes      ${sizes.join(', ') || 'none'}${further}`,
    ...(range ? [`range      ${range.min.toFixed(3)} … ${range.max.toFixed(3)} of the full intensity`] : []),
    ...(listed
      ? [`groups     ${groups!.length}: ${listed.join(', ')}${groups!.length > listed.length ? ', …' : ''}`]
      : []),
    `unreadable ${formatCount(unreadable.count)}`,
    ...unreadable.first.slice(0, 5).map((problem) => `           ${problem.message}`),
    ...(skipped.count > 0 ? [`passed by  ${formatCount(skipped.count)} files that are not images`] : []),
    ...fitLines(report, plan),
    ...report.notes.map((note) => `note       ${note}`),
    plan
      ? `verdict    ${report.verdict}`
      : `verdict    ${report.verdict === 'fits' ? 'readable' : 'not all readable'}; --plan FILE says whether it fits a plan`,
  ].join('\n');
}
