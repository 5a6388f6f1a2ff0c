/** `tacit serve`: a coordinator that participants join over the network. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';
import type { Override } from '../overrides.ts';

export interface ServeOptions {
  readonly plan: string;
  readonly set: readonly Override[];
  readonly seed?: number;
  readonly host: string;
  readonly port: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly behindProxy?: boolean;
  readonly waitFor?: number;
  readonly identity?: string;
  readonly dataDir?: string;
  readonly out?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addServe(program: Command, shell: Shell): void {
  const command = program
    .command('serve')
    .description('coordinate a federation: print how to join, run the rounds, write a run folder')
    .addOption(options.planOption().makeOptionMandatory());
  options.withOptions(
    command,
    options.setOption(),
    options.seedOption(),
    new Option('--host <address>', 'address to listen on; any but this machine needs TLS').default('127.0.0.1'),
    new Option('--port <n>', 'port to listen on; 0: any free one').argParser(options.integer(0, 65535)).default(8080),
    new Option('--tls-cert <file>', 'PEM file of the certificate and its chain'),
    new Option('--tls-key <file>', 'PEM file of its key'),
    new Option('--behind-proxy', 'a proxy in front terminates TLS'),
    new Option(
      '--wait-for <n>',
      'participants awaited before the first round (default: the fewest that commit one)',
    ).argParser(options.integer(1)),
    new Option(
      '--identity <file>',
      'long-lived key of this coordinator, made on first use; without it one is kept in --data-dir, or made for this run',
    ),
    new Option('--data-dir <dir>', 'durable state: a coordinator that was stopped goes on from its last round'),
    options.outOption(),
    options.jsonOption(),
    options.quietOption(),
  );
  options.withShorthands(command);
  options.withExample(
    command,
    'tacit serve --plan plans/digits.yaml --port 8080',
    'tacit serve --plan plan.yaml --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --identity coordinator.key',
  );
  command.action(
    action(shell, async (context, given: ServeOptions) => {
      const { serve } = await import('../serve.ts');
      await serve(context, given);
    }),
  );
}
