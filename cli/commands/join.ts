/** `tacit join`: take part in a federation with data that stay here. */
import { type Command, Option } from 'commander';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { action, type Shell } from '../context.ts';
import * as options from '../options.ts';

export interface JoinOptions {
  readonly data: string;
  readonly labelColumn?: string;
  readonly fingerprint?: string;
  readonly retries: number;
  readonly ca?: string;
  readonly identity?: string;
  readonly state?: string;
  readonly certificate?: string;
  readonly policy?: string;
  readonly minCohort?: number;
  readonly minBatch?: number;
  readonly requireSecagg?: boolean;
  readonly requireCertificates?: boolean;
  readonly operator?: string;
  readonly maxContributions?: number;
  readonly saveModel?: string;
  readonly seed?: number;
  readonly engine: EngineChoice;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function addJoin(program: Command, shell: Shell): void {
  const command = program
    .command('join')
    .description('take part in a federation; the data stay on this machine')
    .argument('<url>', 'address that the coordinator printed, with #srv=FINGERPRINT')
    .addOption(options.dataOption().makeOptionMandatory());
  options.withOptions(
    command,
    new Option('--label-column <name>', 'column of a CSV file that is a label and not a pixel'),
    new Option('--fingerprint <text>', 'fingerprint that the coordinator must have, if the address does not say'),
    new Option('--retries <n>', 'how often to connect again after a connection was lost')
      .argParser(options.integer(0))
      .default(5),
    new Option('--ca <file>', 'PEM file of the certificate authority to trust'),
    new Option('--identity <file>', 'key of this participant, made on first use; without it one is made for this run'),
    new Option(
      '--state <dir>',
      'folder for what must survive a restart: what was agreed to, and what is kept between rounds',
    ),
    new Option('--certificate <file>', 'what `tacit enroll` made for the key of --identity'),
    new Option('--policy <file>', 'YAML or JSON file with what this participant is willing to do'),
    new Option('--min-cohort <n>', 'fewest participants in a round, and in a masked sum').argParser(options.integer(3)),
    new Option(
      '--min-batch <n>',
      'fewest images in a batch where the coordinator can read single reports (default: 8)',
    ).argParser(options.integer(1)),
    new Option('--require-secagg', 'take part only where the coordinator cannot read single reports'),
    new Option('--require-certificates', 'take part only where an operator certifies every participant'),
    new Option('--operator <key>', 'public key of the one operator whose certificates count'),
    new Option('--max-contributions <n>', 'most reports for one and the same model').argParser(options.integer(1)),
    new Option('--save-model <file>', 'keep the final encoder as a safetensors file'),
    options.seedOption(),
    options.engineOption(),
    options.jsonOption(),
    options.quietOption(),
  );
  options.withExample(
    command,
    "tacit join 'https://example.org:8080/#srv=…' --data ~/pictures",
    "tacit join … --data digits --identity me.key --certificate me.cert --require-secagg --operator '…'",
    'HTTPS_PROXY=http://proxy:3128 tacit join https://… --data digits --ca authority.pem',
  );
  command.action(
    action(shell, async (context, given: JoinOptions, url: string) => {
      const { join } = await import('../join.ts');
      await join(context, given, url);
    }),
  );
}
