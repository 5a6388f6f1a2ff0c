/** Who is asked last after an attempt that failed. */
import { expect, test } from 'vitest';
import type { ErrorCode } from '../../../protocol/errors.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { askedLast } from '../../../server/round-members.ts';
import type { Member, Members } from '../../../server/round-state.ts';

const out = (code: ErrorCode): Member => ({ standing: 'out', code });
const IN: Member = { standing: 'reported', awaySince: null };
const members = (given: Record<string, Member>): Members => new Map(Object.entries(given) as [ParticipantId, Member][]);

test('those who were asked in vain', () => {
  const some = members({ a: IN, b: { standing: 'offered' }, c: out('net/closed') });
  expect(askedLast(some, 'round/too-few-reports')).toEqual(['b', 'c']);
});

test('everybody, where a sum cannot be opened or cannot be a sum of reports', () => {
  const all = members({ a: IN, b: IN, c: out('round/late') });
  for (const reason of ['report/out-of-bounds', 'secagg/unrecoverable'] as const) {
    expect(askedLast(all, reason)).toEqual(['a', 'b', 'c']);
  }
});
