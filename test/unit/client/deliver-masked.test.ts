/** What a participant keeps of the bodies that a coordinator sends for the steps under masks. */
import { expect, test } from 'vitest';
import { contributionFor } from '../../../client/contribution.ts';
import { type Masking, noteStage } from '../../../client/deliver-masked.ts';
import { STAGE_STEPS } from '../../../protocol/messages.ts';
import type { ParticipantSession } from '../../../protocol/secagg/contracts.ts';

const offerHash = new Uint8Array(32).fill(1);

test('a flood of bodies holds no more than one of each step of the exchanges that there are', () => {
  const masking: Masking = { session: {} as ParticipantSession, exchanges: 2, bodies: new Map(), onBody: () => {} };
  const contribution = { ...contributionFor({} as never, offerHash), masking };
  for (const hash of [new Uint8Array(32), offerHash]) {
    for (let exchange = 0; exchange < 256; exchange++) {
      for (const step of STAGE_STEPS) {
        for (const byte of [1, 2]) {
          const message = { type: 'stage', offerHash: hash, exchange, step } as const;
          noteStage(contribution, { message, body: Uint8Array.of(byte) });
        }
      }
    }
  }
  const kept = STAGE_STEPS.flatMap((step) => [`0/${step}`, `1/${step}`]);
  expect([...masking.bodies.keys()].sort()).toEqual(kept.sort());
  expect([...masking.bodies.values()]).toEqual(kept.map(() => Uint8Array.of(1)));
});
