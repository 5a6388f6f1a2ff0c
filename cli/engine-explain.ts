/** What `tacit engine explain` does: traces a plan's step, runs it on noise, and adds up where its time goes. */
import { explainProgram } from '../learning/engine/compiled-explain.ts';
import { modelOf } from '../learning/model.ts';
import { drawStep, initialState, scalarsAt, trainProgram } from '../learning/train-step.ts';
import type { Plan } from '../protocol/plan.ts';
import { stream } from '../protocol/random.ts';
import { float32, type NamedArrays, sizeOf } from '../protocol/tensors.ts';
import type { ExplainOptions } from './commands/engine.ts';
import type { Context } from './context.ts';
import { loadPlan } from './plan-file.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatCount } from './units.ts';

/** Every input of a first step; the time that a step takes does not depend on what the images show. */
function feedsOf(plan: Plan, specs: ReturnType<typeof trainProgram>['inputs']): NamedArrays {
  const rng = stream(plan.seed, 'explain');
  const shape = [plan.training.batch, ...plan.data.shape];
  const noise = Float32Array.from({ length: sizeOf(shape) }, () => rng.next());
  const frozen = Object.entries(specs).filter(([name]) => name.startsWith('frozen/'));
  return {
    ...initialState(plan, modelOf(plan).init(plan.seed)),
    ...Object.fromEntries(frozen.map(([name, spec]) => [name, float32(spec.shape)])),
    'batch/images': float32(shape, noise),
    ...drawStep(plan, rng),
    ...scalarsAt(plan, 0),
  };
}

/** Prints the graph of one training step and its profile. */
export async function explain(context: Context, options: ExplainOptions, path: string): Promise<void> {
  const plan = await loadPlan(path, { overrides: options.set, seed: options.seed });
  const { threads, runs } = options;
  const program = trainProgram(plan);
  const explanation = await explainProgram(program, { threads, runs, feeds: feedsOf(plan, program.inputs) });
  const { nodes, bytes, compileMs, operators, profile } = explanation;
  const total = profile.reduce((ms, cost) => ms + cost.ms, 0);
  const rows = profile.map(({ operator, count, ms }) => [
    operator,
    formatCount(count),
    ms.toFixed(2),
    `${((100 * ms) / total).toFixed(1)} %`,
  ]);
  const listed = Object.entries(operators).map(([name, count]) => `${name} ${count}`);
  context.result(
    {
      plan: plan.task,
      program: program.name,
      batch: plan.training.batch,
      threads,
      runs,
      stepMs: total,
      ...explanation,
    },
    [
      `program    ${program.name}, batch ${plan.training.batch} of ${plan.data.shape.join('×')}`,
      `graph      ${formatCount(nodes, 'node')}, ${formatBytes(bytes)}; traced, rewritten and written in ${compileMs.toFixed(0)} ms`,
      `operators  ${listed.join(', ')}`,
      `step       ${total.toFixed(2)} ms in operators, mean of ${runs} on ${formatCount(threads, 'thread')}`,
      '',
      renderTable(
        [
          { title: 'operator, as executed' },
          { title: 'nodes', align: 'right' },
          { title: 'ms', align: 'right' },
          { title: 'share', align: 'right' },
        ],
        rows,
      ),
    ].join('\n'),
  );
}
