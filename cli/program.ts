/** The commands of `tacit`. Each file declares flags and help only; what a command needs is loaded when it runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { EXIT } from '../protocol/errors.ts';
import { addDataCommands } from './commands/data.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEmbed } from './commands/embed.ts';
import { addEngineCommands } from './commands/engine.ts';
import { addEnroll } from './commands/enroll.ts';
import { addEvaluate } from './commands/evaluate.ts';
import { addExport } from './commands/export.ts';
import { addFinetune } from './commands/finetune.ts';
import { addJoin } from './commands/join.ts';
import { addKeygen } from './commands/keygen.ts';
import { addPlanCommands } from './commands/plan.ts';
import { addPrivacyCommands } from './commands/privacy.ts';
import { addServe } from './commands/serve.ts';
import { addSimulate } from './commands/simulate.ts';
import { addStart } from './commands/start.ts';
import { addVerify } from './commands/verify.ts';
import type { Shell } from './context.ts';
import { packageRoot } from './package-root.ts';

const version = (): string => {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  return version;
};

const EPILOGUE = `
Example:
  $ tacit start --quick

Exit status: ${EXIT.ok} done · ${EXIT.usage} wrong command, flag or plan · ${EXIT.data} data · ${EXIT.connection} connection · ${EXIT.trust} identity or policy ·
  ${EXIT.protocol} protocol · ${EXIT.run} the run failed · ${EXIT.internal} a defect of Tacit · ${EXIT.interrupted} Ctrl-C · ${EXIT.terminated} SIGTERM
Set TACIT_DEBUG=1 to see the stack of an error.`;

/** The whole command line, bound to a shell. */
export function buildProgram(shell: Shell): Command {
  const program = new Command('tacit')
    .description('Federated self-supervised learning: learned without labels, shared without showing.')
    .version(version(), '-v, --version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', EPILOGUE)
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => void shell.stdout.write(text),
      // What is wrong with a command line is said once, by main.ts.
      writeErr: (text) => {
        if (!text.startsWith('error:')) shell.stderr.write(text);
      },
      outputError: () => {},
    })
    .exitOverride();
  for (const add of [
    addStart,
    addServe,
    addJoin,
    addSimulate,
    addFinetune,
    addEvaluate,
    addEmbed,
    addExport,
    addPlanCommands,
    addDataCommands,
    addPrivacyCommands,
    addKeygen,
    addEnroll,
    addVerify,
    addEngineCommands,
    addDoctor,
  ]) {
    add(program, shell);
  }
  return program;
}
