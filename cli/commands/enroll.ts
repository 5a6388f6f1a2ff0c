/** `tacit enroll`: certify a participant's key with the operator's, which is kept apart from the coordinator. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { identifiers, integer, jsonOption, withExample, withOptions } from '../options.ts';

export interface EnrollOptions {
  readonly operator: string;
  readonly task: readonly string[];
  readonly days: number;
  readonly out: string;
  readonly json?: boolean;
}

export function addEnroll(program: Command, shell: Shell): void {
  const command = program
    .command('enroll')
    .description("certify a participant's key, so that a coordinator cannot make participants up")
    .argument('<participant>', 'its public key, as `tacit keygen` prints it')
    .addOption(
      new Option(
        '--operator <file>',
        "the operator's key (`tacit keygen`); keep it away from the coordinator",
      ).makeOptionMandatory(),
    )
    .addOption(
      new Option('--task <name>', 'task that it may join; may be repeated')
        .argParser(identifiers)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--out <file>', 'new file for the certificate').makeOptionMandatory());
  withOptions(
    command,
    new Option('--days <n>', 'how long it holds').argParser(integer(1, 36_500)).default(365),
    jsonOption(),
  );
  withExample(command, 'tacit enroll --operator operator.key --task digits --out alice.cert PUBLIC_KEY');
  command.action(
    action(shell, async (context, options: EnrollOptions, participant: string) => {
      const { enroll } = await import('../enroll.ts');
      await enroll(context, options, participant);
    }),
  );
}
