import { expect, test } from 'vitest';
import { createProgress, describeRound } from '../../../cli/progress.ts';

const stream = (isTTY: boolean, columns = 80) => {
  const written: string[] = [];
  return { isTTY, columns, written, write: (text: string) => written.push(text) };
};
const round = {
  round: 12,
  rounds: 40,
  cohort: 10,
  loss: -3.2142,
  bytesUp: 1_234_000,
  bytesDown: 4_800_000,
  secondsLeft: 65,
};

test('a round says everything that was asked for', () => {
  expect(describeRound(round)).toBe(
    'round 12/40 · 10 participants · loss −3.214 · ↑ 1.2 MB ↓ 4.8 MB · 1 min 05 s left',
  );
  expect(describeRound({ round: 1, rounds: 2, cohort: 1 })).toBe('round 1/2 · 1 participant');
});

test('off a terminal every round is a line, and other states at most one in three seconds', () => {
  const out = stream(false);
  let time = 0;
  const progress = createProgress(out, { now: () => time });
  progress.live('a');
  progress.live('b');
  time = 3000;
  progress.live('c');
  progress.round(round);
  progress.round({ ...round, round: 13 });
  progress.log('kept');
  progress.end();
  expect(out.written.map((text) => text.slice(0, 11))).toEqual(['a\n', 'c\n', 'round 12/40', 'round 13/40', 'kept\n']);
  expect(out.written.join('')).not.toContain('\x1b');
});

test('on a terminal the line is rewritten, cut to the width, and ended once', () => {
  const out = stream(true, 30);
  const progress = createProgress(out);
  progress.live('x'.repeat(100));
  progress.round(round);
  progress.log('kept');
  progress.live('last');
  progress.end();
  progress.end();
  expect(out.written[0]).toBe('x'.repeat(29));
  expect(out.written[1]).toBe('\r\x1b[2K');
  expect(out.written[2]).toHaveLength(29);
  expect(out.written.slice(3)).toEqual(['\r\x1b[2K', 'kept\n', 'last', '\n']);
});

test('quiet is silent', () => {
  const out = stream(true);
  const progress = createProgress(out, { quiet: true });
  progress.live('a');
  progress.log('b');
  progress.round(round);
  progress.end();
  expect(out.written).toEqual([]);
});
