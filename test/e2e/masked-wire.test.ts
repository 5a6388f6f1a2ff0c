/** Everything that crosses the wire in a round under masks, searched for what a participant must not show; and the search itself tested. */
import { afterEach, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { asBytes } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import type { Plan } from '../../protocol/plan.ts';
import { buildReport } from '../../protocol/report.ts';
import { exchangesOf } from '../../protocol/sections.ts';
import { drawn, type Hall, maskedHall, maskedPlan } from './masked-hall.ts';

const open: Hall[] = [];
afterEach(async () => {
  for (const { coordinator, people } of open.splice(0)) {
    await coordinator.stop();
    for (const { stop } of people) stop.abort();
  }
});

const COUNT = 6;

/** What of participant `id` may appear nowhere: pieces of its update as floats and as words, its weight and its loss. */
function secretsOf(plan: Plan, id: string): Buffer[] {
  const learnt = drawn({ plan, participant: id, round: 0 });
  const [exchange] = exchangesOf(plan, modelOf(plan).reportShape);
  const values = { delta: learnt.delta, 'metrics/loss': Float32Array.of(learnt.loss) };
  const words = buildReport(plan, exchange!, values, learnt.examples);
  const pieces = (array: ArrayBufferView): Buffer[] => {
    const bytes = Buffer.from(asBytes(array));
    return Array.from({ length: Math.floor(bytes.length / 64) }, (_, i) => bytes.subarray(64 * i, 64 * i + 12));
  };
  // the last two words are the weight and the loss
  const scalars = Buffer.from(asBytes(words)).subarray(-8);
  const loss = Buffer.from(asBytes(Float64Array.of(learnt.loss)));
  return [
    ...[...pieces(words), ...pieces(learnt.delta), scalars],
    ...[loss, Buffer.from(loss).swap64(), Buffer.from(String(learnt.loss))],
  ];
}

/** How many participants show something of themselves in these frames. */
const shown = (plan: Plan, ids: readonly string[], wire: Buffer): number =>
  ids.filter((id) => secretsOf(plan, id).some((secret) => wire.includes(secret))).length;

/** Runs a round and keeps every frame of everybody, in both directions. */
async function capture(zeroMasks: boolean): Promise<{ plan: Plan; ids: string[]; wire: Buffer; committed: boolean }> {
  const frames: Uint8Array[] = [];
  const crypto = zeroMasks ? { ...nodeCrypto, applyMasks: async () => {} } : nodeCrypto;
  const plan = maskedPlan({ rounds: { maxAttempts: 1 } });
  const at = await maskedHall(plan, {
    count: COUNT,
    join: () => ({ crypto }),
    wire: (connection) => ({
      ...connection,
      send: async (frame) => {
        frames.push(frame.slice());
        await connection.send(frame);
      },
      onFrame: (receive) =>
        connection.onFrame((frame) => {
          frames.push(frame.slice());
          receive(frame);
        }),
    }),
  });
  open.push(at);
  const committed = await at.run.then(
    () => true,
    () => false,
  );
  return { plan, ids: at.identities.map(({ id }) => id), wire: Buffer.concat(frames), committed };
}

test('no update, weight or loss of any participant crosses the wire', async () => {
  const { plan, ids, wire, committed } = await capture(false);
  expect(committed).toBe(true);
  expect(wire.length).toBeGreaterThan(COUNT * 4 * modelOf(plan).reportShape.dimension);
  expect(shown(plan, ids, wire)).toBe(0);
});

test('the search finds a loss by itself, in any notation', () => {
  const plan = maskedPlan();
  const loss = drawn({ plan, participant: 'somebody', round: 0 }).loss;
  const bigEndian = Buffer.alloc(8);
  bigEndian.writeDoubleBE(loss);
  const wires = [Buffer.from(`{"loss":${loss}}`), bigEndian, Buffer.from(asBytes(Float64Array.of(loss)))];
  for (const wire of wires) expect(shown(plan, ['somebody', 'else'], wire)).toBe(1);
});

test('the search finds every participant when the masks are zero', async () => {
  const { plan, ids, wire } = await capture(true);
  expect(shown(plan, ids, wire)).toBe(COUNT);
});
