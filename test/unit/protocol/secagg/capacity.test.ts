/** A roster must fit one message: what is allowed for is what one really takes, and no plan gets past it. */
import { describe, expect, test } from 'vitest';
import { issueCertificate, MAX_CERTIFICATE_BYTES } from '../../../../protocol/certificate.ts';
import { largestRoster, rosterBytes } from '../../../../protocol/secagg/capacity.ts';
import { encodeRoster } from '../../../../protocol/secagg/objects.ts';
import { LIMITS } from '../../../../protocol/transport.ts';
import { identityOf, testPlan } from '../../../e2e/server-harness.ts';

const bytes = (length: number, value = 1): Uint8Array => new Uint8Array(length).fill(value);

const longest = async (): Promise<Uint8Array> => {
  const operator = await identityOf('operator');
  return issueCertificate((statement) => operator.sign(statement), {
    identity: operator.publicKey,
    tasks: Array.from({ length: 8 }, (_, i) => `${i}`.repeat(64)),
    notAfter: Number.MAX_SAFE_INTEGER,
    nonce: bytes(32),
  });
};

describe.each([1, 2])('with %d exchanges', (exchanges) => {
  test.each([true, false])('[MS8] it is exactly as long as was said, certificates: %s', async (certified) => {
    const certificate = certified ? await longest() : bytes(0);
    expect(certificate).toHaveLength(certified ? MAX_CERTIFICATE_BYTES : 0);
    const entry = {
      ...{ identity: bytes(32), maskKeys: Array(exchanges).fill(bytes(32)), channelKey: bytes(32), certificate },
      signature: bytes(64),
    };
    const roster = (n: number) => encodeRoster({ entries: Array(n).fill(entry), signature: bytes(64) }).length;
    const most = largestRoster(exchanges, certified);
    expect(roster(most)).toBe(rosterBytes(most, exchanges, certified));
    expect(roster(most)).toBeLessThanOrEqual(LIMITS.bodyBytes);
    expect(roster(most + 1)).toBeGreaterThan(LIMITS.bodyBytes);
  });
});

describe('a plan', () => {
  const certified = { certificates: 'required', operatorKey: 'A'.repeat(43) };
  const plan = (maxCohort: number, changes: object = {}) =>
    testPlan({ rounds: { cohort: 4, maxCohort }, privacy: { mode: 'secagg' }, ...changes });

  test.each([
    ['without certificates', {}, 1, false],
    ['with certificates', { admission: certified }, 1, true],
    ['of two exchanges', { strategy: { name: 'shared-statistics' }, training: twoExchanges() }, 2, false],
  ])('[MS8] %s is refused exactly from where its roster no longer fits', (_, changes, exchanges, isCertified) => {
    const most = largestRoster(exchanges, isCertified);
    expect(plan(most, changes).rounds.maxCohort).toBe(most);
    expect(() => plan(most + 1, changes)).toThrow(
      expect.objectContaining({
        code: 'plan/refused',
        where: 'rounds.maxCohort',
        message: expect.stringContaining(`at most ${most} participants fit`),
        hint: expect.stringContaining(`Set it to ${most} or less`),
      }),
    );
  });

  test('may have any cohort where reports are sealed', () => {
    expect(testPlan({ rounds: { cohort: 4, maxCohort: 50_000 } }).rounds.maxCohort).toBe(50_000);
  });
});

function twoExchanges(): object {
  return { steps: 1, batch: 2, optimiser: { name: 'adam', learningRate: 0.1 } };
}
