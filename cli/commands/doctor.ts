/** `tacit doctor`: what this machine has, what is missing, and how to get it. */
import type { Command } from 'commander';
import { action, type Shell } from '../context.ts';
import { jsonOption, withExample, withOptions } from '../options.ts';

export function addDoctor(program: Command, shell: Shell): void {
  const command = program.command('doctor').description('show what this machine has for Tacit, and what is missing');
  withOptions(command, jsonOption());
  withExample(command, 'tacit doctor');
  command.action(
    action(shell, async (context) => {
      const { examine, renderFindings } = await import('../examine.ts');
      const findings = await examine();
      context.result({ findings }, renderFindings(findings));
    }),
  );
}
