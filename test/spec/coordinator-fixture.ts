/** A real coordinator over the in-memory transport, and participants at the stages that the rules speak of. */
import { afterEach, expect } from 'vitest';
import type { CoordinatorOptions } from '../../server/coordinator-options.ts';
import {
  FakeParticipant,
  type Harness,
  harness,
  identityOf,
  participants,
  testPlan,
  updateOf,
  wordsOf,
} from '../e2e/server-harness.ts';

/** Matches an error with this code. */
export const code = (wanted: string) => expect.objectContaining({ code: wanted });

const open: Harness[] = [];
afterEach(async () => {
  for (const { coordinator } of open.splice(0)) await coordinator.stop();
});

/** A coordinator that runs until the test is over. */
export async function running(plan = testPlan(), options: Partial<CoordinatorOptions> = {}): Promise<Harness> {
  const at = await harness(plan, options);
  open.push(at);
  at.coordinator.run().catch(() => {});
  return at;
}

/** A participant that is connected and has not said anything. */
export const someone = async (at: Harness, name = 'someone') =>
  new FakeParticipant(at.listener.connect(), await identityOf(name), at);

/** Participants that have accepted the first offer, with their sealed reports. */
export async function working(at: Harness, count: number) {
  const people = await participants(at, count);
  await Promise.all(people.map((p) => p.signIn()));
  return Promise.all(
    people.map(async (p) => {
      const offered = await p.offer();
      const exchange = await p.accept(offered.offerHash);
      return { p, offered, exchange, sealed: await p.seal(offered, wordsOf(at.plan, updateOf(p, 0))) };
    }),
  );
}
