/** `tacit privacy plan` and `tacit privacy spent`: how much noise a budget takes, and what noise has spent. */
import { type Command, Option } from 'commander';
import { action, type Shell } from '../context.ts';
import { integer, jsonOption, number, withExample, withOptions } from '../options.ts';
import type { PlanQuestion, SpentQuestion } from '../privacy.ts';

interface Json {
  readonly json?: boolean;
}

const rounds = (): Option =>
  new Option('--rounds <t>', 'sums that one participant may be in: rounds, times sums per round')
    .argParser(integer(1, 1e7))
    .makeOptionMandatory();
const sampling = (): Option =>
  new Option('--sampling <q>', 'probability with which a participant is drawn into a round, secretly; 1 claims nothing')
    .argParser(number(0, 1, { above: true }))
    .default(1);
const delta = (): Option =>
  new Option('--delta <d>', 'probability with which ε may not hold; well below 1 / participants')
    .argParser(number(0, 1, { above: true, below: true }))
    .default(1e-5);
const participants = (): Option =>
  new Option('--participants <n>', 'participants whose reports are in one sum').argParser(integer(1, 1e9));

export function addPrivacyCommands(program: Command, shell: Shell): void {
  const privacy = program.command('privacy').description('how much noise a privacy budget takes');
  const plan = privacy.command('plan').description('the noise that keeps to ε, and whether a cohort can bear it');
  withOptions(
    plan,
    new Option('--epsilon <e>', 'privacy budget of the whole run')
      .argParser(number(0, 1000, { above: true }))
      .makeOptionMandatory(),
    delta(),
    rounds(),
    sampling(),
    participants(),
    new Option('--dimension <d>', 'numbers in a report: the parameters that are sent').argParser(integer(1, 1e9)),
    new Option('--clip <c>', 'clipping norm of a report').argParser(number(0, 1e6, { above: true })).default(1),
    jsonOption(),
  );
  withExample(plan, 'tacit privacy plan --epsilon 8 --delta 1e-5 --rounds 100 --participants 1000 --dimension 93120');
  plan.action(
    action(shell, async (context, question: PlanQuestion & Json) => {
      const { planPrivacy, renderPrivacyPlan } = await import('../privacy.ts');
      const answer = planPrivacy(question);
      context.result(answer, renderPrivacyPlan(answer));
    }),
  );

  const spent = privacy.command('spent').description('ε of so many noised sums, by two accountants');
  withOptions(
    spent,
    new Option('--noise-multiplier <z>', 'standard deviation of the noise of a sum, in clipping norms')
      .argParser(number(0, 1e6, { above: true }))
      .makeOptionMandatory(),
    sampling(),
    rounds(),
    delta(),
    participants(),
    jsonOption(),
  );
  withExample(spent, 'tacit privacy spent --noise-multiplier 1.1 --sampling 0.01 --rounds 1000 --delta 1e-5 --json');
  spent.action(
    action(shell, async (context, question: SpentQuestion & Json) => {
      const { renderSpent, spentPrivacy } = await import('../privacy.ts');
      const answer = spentPrivacy(question);
      context.result(answer, renderSpent(answer, question));
    }),
  );
}
