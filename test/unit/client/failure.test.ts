import { expect, test } from 'vitest';
import { decideFailure } from '../../../client/failure.ts';
import { type ErrorCode, TacitError } from '../../../protocol/errors.ts';

const after = (code: ErrorCode, failuresBefore = 0) => decideFailure(new TacitError(code, 'failed'), failuresBefore);

test.each([
  'secagg/bad-share',
  'round/too-few-participants',
  'round/too-many-contributions',
  'privacy/budget-spent',
] as const)('%s is a reason to sit a round out, which the coordinator is told, however often it comes', (code) => {
  expect([after(code), after(code, 99)]).toEqual(Array(2).fill({ kind: 'sit-out', tell: true }));
});

test.each(['round/late', 'round/stale', 'round/full'] as const)('%s: the coordinator knows', (code) => {
  expect([after(code), after(code, 99)]).toEqual(Array(2).fill({ kind: 'sit-out', tell: false }));
});

test.each(['train/failed', 'report/malformed', 'weights/not-finite'] as const)(
  '%s is pointless the third time in a row',
  (code) => {
    expect(after(code, 1)).toEqual({ kind: 'sit-out', tell: true });
    expect(after(code, 2)).toEqual({ kind: 'end' });
  },
);

test.each(['net/closed', 'auth/bad-signature', 'train/cancelled'] as const)('%s ends the connection', (code) => {
  expect(after(code)).toEqual({ kind: 'end' });
});
