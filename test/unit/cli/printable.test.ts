/** What others wrote is shown without what a terminal would obey. */
import { expect, test } from 'vitest';
import { renderError } from '../../../cli/errors.ts';
import { createProgress } from '../../../cli/progress.ts';
import { asTacitError, TacitError } from '../../../protocol/errors.ts';
import { parsePlan } from '../../../protocol/plan.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const ESCAPE = '\u001b]0;owned\u0007\u001b[2J\u009b1A\r\u202ereversed';
const obeyed = (text: string): boolean => ['\u001b', '\u0007', '\u009b', '\r', '\u202e'].some((c) => text.includes(c));

test('an error names a key of a hostile plan without its escape sequences', () => {
  let message = '';
  try {
    parsePlan({ ...testPlan(), [ESCAPE]: 1 });
  } catch (thrown) {
    message = asTacitError(thrown).message;
  }
  expect(obeyed(message)).toBe(true);
  const shown = renderError(new TacitError('plan/invalid', `${message}\n\tb`, { where: ESCAPE, hint: ESCAPE }));
  expect(obeyed(shown)).toBe(false);
  expect(shown).toContain('owned');
  expect(shown).toContain('\n  \tb');
});

test('progress keeps its own sequences, and drops those of what it shows', () => {
  const written: string[] = [];
  const progress = createProgress({ isTTY: true, columns: 200, write: (text) => written.push(text) });
  progress.log(ESCAPE);
  progress.live(ESCAPE);
  expect(obeyed(written.join(''))).toBe(false);
  progress.show({ kind: 'live', text: ESCAPE });
  expect(written.at(-2)).toBe('\r\u001b[2K');
  expect(obeyed(written.at(-1)!)).toBe(false);
});
