/** `tacit plan check`: what a plan says once every default is filled in, and what it will cost. */
import type { Command } from 'commander';
import { action, type Shell } from '../context.ts';
import { jsonOption, seedOption, setOption, withExample, withOptions, withShorthands } from '../options.ts';
import type { Override } from '../overrides.ts';

interface Options {
  readonly set: readonly Override[];
  readonly seed?: number;
  readonly json?: boolean;
}

export function addPlanCommands(program: Command, shell: Shell): void {
  const plan = program.command('plan').description('look at a plan');
  const check = plan
    .command('check')
    .description('check a plan and print it complete, with its sections, sizes and warnings')
    .argument('<file>', 'YAML or JSON file, or the name of a plan that comes with Tacit');
  withOptions(check, setOption(), seedOption(), jsonOption());
  withShorthands(check);
  withExample(check, 'tacit plan check plans/digits.yaml --set encoder=conv');
  check.action(
    action(shell, async (context, { set, seed }: Options, file: string) => {
      const { loadStart } = await import('../plan-file.ts');
      const { checkPlan, renderPlanCheck } = await import('../plan-check.ts');
      const found = await checkPlan(await loadStart(file, { overrides: set, seed }));
      context.result(found, renderPlanCheck(found));
    }),
  );
}
