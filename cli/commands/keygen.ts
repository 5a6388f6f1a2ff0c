/** `tacit keygen`: a long-lived Ed25519 identity for a coordinator, a participant or an operator. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { integer, jsonOption, withExample, withOptions } from '../options.ts';

interface Options {
  readonly out: string;
  readonly seed?: number;
  readonly json?: boolean;
}

export function addKeygen(program: Command, shell: Shell): void {
  const command = program
    .command('keygen')
    .description('make an Ed25519 identity and print its fingerprint')
    .addOption(new Option('--out <file>', 'new file for the secret key, readable by you only').makeOptionMandatory());
  withOptions(
    command,
    new Option('--seed <n>', 'make the key from a number; for experiments only').argParser(integer(0, 2 ** 32 - 1)),
    jsonOption(),
  );
  withExample(command, 'tacit keygen --out coordinator.key');
  command.action(
    action(shell, async (context, { out, seed }: Options) => {
      const { keygen } = await import('../keygen.ts');
      const { identity, fingerprint } = await keygen(out, seed);
      if (seed !== undefined)
        context.progress.log('warning: a key made from --seed is for experiments; anyone can compute it');
      context.result(
        { file: out, publicKey: identity.id, fingerprint },
        `${out}\nparticipant  ${identity.id}\nfingerprint  ${fingerprint}`,
      );
    }),
  );
}
