/** Requests that move no bytes are bounded like those that do. */
import { expect, test } from 'vitest';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { asTacitError, type ErrorCode } from '../../../protocol/errors.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { createBlobShelf } from '../../../protocol/transfer.ts';
import type { Participant } from '../../../server/participants.ts';
import { serveRequest } from '../../../server/requests.ts';
import { transferBudget } from '../../../server/transfer-budget.ts';

const participant = { id: 'p' as ParticipantId } as Participant;

test('asking for what is not there is refused in the end, and a new attempt forgives it', async () => {
  const budget = transferBudget();
  const context = { shelf: createBlobShelf(nodeCrypto), budget, links: [], attempt: undefined };
  const ask = (id: number): Promise<ErrorCode> =>
    serveRequest(context, participant, { type: 'ask', id, hash: new Uint8Array(32), offset: 0 }).then(
      () => 'internal',
      (thrown: unknown) => asTacitError(thrown).code,
    );
  expect(await ask(0)).toBe('wire/unknown-blob');
  const codes = new Set<ErrorCode>();
  for (let id = 1; id < 3000; id++) codes.add(await ask(id));
  expect(codes).toEqual(new Set(['wire/unknown-blob', 'wire/rate-limited']));
  expect(await ask(3000)).toBe('wire/rate-limited');
  budget.reset({ down: 0, up: 0 });
  expect(await ask(3001)).toBe('wire/unknown-blob');
});

test('empty chunks are refused in the end', () => {
  const budget = transferBudget();
  const empty = (): void => {
    for (let i = 0; i < 3000; i++) budget.spend(participant.id, 'up', 0);
  };
  expect(empty).toThrow(expect.objectContaining({ code: 'wire/rate-limited' }));
  budget.spend('other' as ParticipantId, 'up', 0);
});
