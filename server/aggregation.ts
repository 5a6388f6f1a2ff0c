/**
 * The sum of one exchange: each sealed report is opened and verified as a whole before its words are added, so that a refused
 * report leaves no trace. Words are 32-bit integers within bounds that leave room for the whole cohort: sums are exact and do not
 * depend on the order.
 */
import { toWords, wordsIn } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import { addWords, checkReport } from '../protocol/fixed-point.ts';
import type { Plan } from '../protocol/plan.ts';
import { MASKED, suitesOf } from '../protocol/plan-privacy.ts';
import type { SealContext } from '../protocol/sealing/suite.ts';
import { suiteNamed } from '../protocol/sealing/suites.ts';
import { type Exchange, wordsOf } from '../protocol/sections.ts';
import { type KeptUpdates, keptUpdatesOf } from './aggregators/kept-updates.ts';

/** Reports that are opened at a time; the others wait as they came, sealed. */
const OPENED_AT_ONCE = 2;

export interface AggregationContext {
  readonly crypto: CryptoProvider;
  readonly plan: Plan;
  readonly exchange: Exchange;
  /** X25519 secret key of the aggregation key. */
  readonly secret: Uint8Array;
}

export interface Aggregation {
  /** How long a sealed report of this exchange is. @throws TacitError wire/no-common-suite */
  sealedBytes(suite: string): number;
  /** Opens and checks a report. @throws TacitError report/malformed, report/out-of-bounds, wire/no-common-suite, auth/bad-key */
  verify(suite: string, context: SealContext, sealed: Uint8Array): Promise<Int32Array>;
  /** Adds the words of a verified report. */
  add(words: Int32Array): void;
  readonly reports: number;
  /** The sum so far: a copy. */
  sum(): Int32Array;
  /** The updates one by one, where the plan names a robust aggregator. */
  readonly kept?: KeptUpdates;
}

/** Lets `limit` actions run at a time, the others in the order in which they came. */
export function gate(limit: number): <T>(action: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (action) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await action();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}

/** How long a sealed report of an exchange is. @throws TacitError wire/no-common-suite */
export const sealedBytesOf = (plan: Plan, exchange: Exchange, suite: string): number =>
  suite === MASKED && plan.privacy.mode !== 'sealed'
    ? 4 * wordsOf(exchange)
    : suiteNamed(suite, suitesOf(plan)).sealedBytes(4 * wordsOf(exchange));

/** Masked reports are added up where their masks are known (secagg/); here they are measured and counted. */
export function maskedAggregationOf({ plan, exchange }: Pick<AggregationContext, 'plan' | 'exchange'>): Aggregation {
  let reports = 0;
  return {
    sealedBytes: (suite) => sealedBytesOf(plan, exchange, suite),
    verify: async (suite, _context, masked) => {
      checkLength(masked, sealedBytesOf(plan, exchange, suite));
      return wordsIn(masked);
    },
    add: () => {
      reports += 1;
    },
    get reports() {
      return reports;
    },
    sum: () => {
      throw new TacitError('internal', 'the sum of masked reports is not here');
    },
  };
}

const checkLength = (report: Uint8Array, bytes: number): void => {
  if (report.length === bytes) return;
  throw new TacitError('report/malformed', `${report.length} bytes instead of ${bytes}`);
};

export function aggregationOf({ crypto, plan, exchange, secret }: AggregationContext): Aggregation {
  const words = wordsOf(exchange);
  const total = new Int32Array(words);
  const { maxCohort } = plan.rounds;
  const opening = gate(OPENED_AT_ONCE);
  const kept = keptUpdatesOf(plan, exchange);
  let reports = 0;
  const sealedBytes = (suite: string): number => sealedBytesOf(plan, exchange, suite);
  const open = async (suite: string, context: SealContext, sealed: Uint8Array): Promise<Int32Array> => {
    const opened = toWords(await suiteNamed(suite, suitesOf(plan)).open(crypto, secret, context, sealed));
    checkReport(exchange, opened, maxCohort);
    return opened;
  };
  return {
    sealedBytes,
    verify: async (suite, context, sealed) => {
      checkLength(sealed, sealedBytes(suite));
      return opening(() => open(suite, context, sealed));
    },
    add: (report) => {
      if (reports >= maxCohort) throw new TacitError('internal', `more than ${maxCohort} reports in one sum`);
      addWords(total, report);
      kept?.add(report);
      reports += 1;
    },
    get reports() {
      return reports;
    },
    sum: () => total.slice(),
    ...(kept ? { kept } : {}),
  };
}
