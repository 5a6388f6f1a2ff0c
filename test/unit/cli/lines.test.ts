import { expect, test } from 'vitest';
import { coordinatorLine } from '../../../cli/coordinator-lines.ts';
import { parseOverride } from '../../../cli/overrides.ts';
import { participantLine } from '../../../cli/participant-lines.ts';
import { defaultOut, takePartition } from '../../../cli/run-options.ts';
import type { ParticipantEvent } from '../../../client/events.ts';
import type { Fingerprint, ParticipantId } from '../../../protocol/ids.ts';

const participant = 'p' as ParticipantId;
const traffic = { up: 1000, down: 2_000_000 };
const line = (event: ParticipantEvent) => participantLine(event, traffic);

test('a participant reads its rounds from 1 and its bytes in units', () => {
  const committed = { type: 'committed', round: 0, attempt: 0, participants: 1, modelHash: '', mine: true } as const;
  expect(line(committed)).toEqual({ kind: 'log', text: 'round 1 committed with 1 participant · ↑ 1.0 kB ↓ 2.0 MB' });
  expect(line({ ...committed, mine: false }).text).toContain('without this one');
  const training = { type: 'training', round: 4, attempt: 0, step: 3, steps: 20, loss: -1.2345 } as const;
  expect(line(training)).toEqual({ kind: 'live', text: 'round 5: step 3 of 20 · loss -1.234 · ↑ 1.0 kB ↓ 2.0 MB' });
});

test('a participant reads what its noised reports add up to, and of how much', () => {
  const charged = { type: 'charged', round: 1, attempt: 0, epsilon: 6.57297, budget: 8, delta: 1e-5 } as const;
  expect(line(charged)).toEqual({
    kind: 'log',
    text: "round 2: this participant's reports add up to ε = 6.573 of at most 8 at δ = 0.00001",
  });
});

test('a coordinator that was not pinned is said to be taken on trust', () => {
  const joined = { type: 'joined', participant, fingerprint: 'f' as Fingerprint, round: 0 } as const;
  expect(line({ ...joined, pinned: false }).text).toContain('taken on trust');
  expect(line({ ...joined, pinned: true }).text).not.toContain('taken on trust');
});

test('every reason of a refusal is shown', () => {
  const refusals = [
    { floor: 'minCohort', reason: 'too few' },
    { floor: 'encoders', reason: 'not that one' },
  ] as const;
  expect(line({ type: 'refused', refusals }).text).toBe(
    'refused: too few (minCohort)\nrefused: not that one (encoders)',
  );
});

test('a coordinator shows who comes and goes, and leaves rounds to the writer of the run folder', () => {
  expect(coordinatorLine({ type: 'left', participant, participants: 1, reason: 'bye' })).toEqual({
    kind: 'log',
    text: 'p left (bye); 1 participant here',
  });
  expect(coordinatorLine({ type: 'finished', rounds: 1, modelHash: '' })).toBeUndefined();
});

test('alpha is taken out of the overrides, and outweighs --partition', () => {
  const overrides = ['rounds=3', 'alpha=0.1'].map(parseOverride);
  const taken = takePartition(overrides, { kind: 'iid' });
  expect(taken.partition).toEqual({ kind: 'dirichlet', alpha: 0.1 });
  expect(taken.overrides).toEqual([parseOverride('rounds=3')]);
  expect(takePartition([], { kind: 'iid' }).partition).toEqual({ kind: 'iid' });
  expect(takePartition([], undefined).partition).toEqual({ kind: 'dirichlet', alpha: 0.1 });
  for (const bad of ['alpha=0', 'alpha=-1', 'alpha=x', 'alpha=.inf']) {
    expect(() => takePartition([parseOverride(bad)], undefined)).toThrow('alpha must be a number above 0');
  }
});

test('run folders sort by time', () => {
  expect(defaultOut('a:b', new Date(2026, 0, 2, 3, 4, 5))).toMatch(/runs.a-b-20260102-030405$/);
});
