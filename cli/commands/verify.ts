/** `tacit verify`: recompute the signed transcript of a run. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { jsonOption, withExample, withOptions } from '../options.ts';

export interface VerifyOptions {
  readonly fingerprint?: string;
  readonly json?: boolean;
}

export function addVerify(program: Command, shell: Shell): void {
  const command = program
    .command('verify')
    .description('recompute the signed chain of committed rounds in a run folder')
    .argument('<run>', 'run folder that `tacit start`, `tacit serve` or `tacit simulate` wrote');
  withOptions(command, new Option('--fingerprint <text>', 'fingerprint that the coordinator must have'), jsonOption());
  withExample(command, 'tacit verify runs/digits-20260131-235959');
  command.action(
    action(shell, async (context, options: VerifyOptions, run: string) => {
      const { verify } = await import('../verify.ts');
      await verify(context, options, run);
    }),
  );
}
