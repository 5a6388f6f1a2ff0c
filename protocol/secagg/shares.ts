/**
 * Shamir's scheme for the two secrets of a participant (SPEC.md §13.4). Secrets are split by shamir-secret-sharing over GF(2⁸), whose
 * randomness is the operating system's. Recovering from wrong shares gives a wrong secret and no error: what comes out is verified,
 * and where it does not hold other subsets are tried.
 */
import { split } from 'shamir-secret-sharing';
import { stream } from '../random.ts';
import { combineRows, lagrangeBasis } from './gf256.ts';
import { sharesOf } from './rules.ts';

export const SECRET_BYTES = 32;
/** 32 bytes of y, then x, from 1 to 255. */
export const SHARE_BYTES = SECRET_BYTES + 1;
/** How many subsets of the shares are tried before a secret is given up. */
export const MAX_TRIES = 20;

/**
 * The shares of a secret by roster index; undefined where there is none (in a group of 256, for oneself).
 * @param size participants of the group @param self one's own index
 */
export async function splitSecret(
  secret: Uint8Array,
  size: number,
  self: number,
  threshold: number,
): Promise<(Uint8Array | undefined)[]> {
  const copy = Uint8Array.from(secret); // the library refuses subclasses, Node's Buffer among them
  const shares: (Uint8Array | undefined)[] = await split(copy, sharesOf(size), threshold);
  copy.fill(0);
  if (shares.length < size) shares.splice(self, 0, undefined);
  return shares;
}

/** A share of a secret and the roster index of who gave it. */
export interface Contribution {
  readonly from: number;
  readonly share: Uint8Array;
}

/** A secret that was recovered, and who gave shares that are not of it. */
export interface Recovered {
  readonly secret: Uint8Array;
  readonly wrong: readonly number[];
}

const xOf = ({ share }: Contribution): number => share[SECRET_BYTES]!;

/** The value at `at` of the polynomials through these shares. */
const interpolate = (shares: readonly Contribution[], at: number): Uint8Array =>
  combineRows(
    lagrangeBasis(shares.map(xOf), at),
    shares.map(({ share }) => share),
    SECRET_BYTES,
  );

/** Shares that can be of one polynomial: x is neither 0 nor claimed twice. By roster index, those of the distrusted last. */
function usable(contributions: readonly Contribution[], distrusted: ReadonlySet<number>): Contribution[] {
  const claims = new Map<number, number>();
  for (const entry of contributions) claims.set(xOf(entry), (claims.get(xOf(entry)) ?? 0) + 1);
  const rank = ({ from }: Contribution): number => from + (distrusted.has(from) ? 1000 : 0);
  return contributions
    .filter((entry) => entry.share.length === SHARE_BYTES && xOf(entry) !== 0 && claims.get(xOf(entry)) === 1)
    .sort((a, b) => rank(a) - rank(b));
}

/**
 * Subsets of `threshold` shares: the first ones, then all but a gap that moves through them, which finds the secret if the wrong
 * shares lie close together (one always does), then others by chance.
 */
function* subsets(shares: readonly Contribution[], threshold: number): Generator<Contribution[]> {
  const spare = shares.length - threshold;
  yield shares.slice(0, threshold);
  if (spare === 0) return;
  for (let gap = 0; gap < threshold; gap += spare) yield [...shares.slice(0, gap), ...shares.slice(gap + spare)];
  const rng = stream(0, 'secagg/subsets', shares.length, threshold);
  for (;;) {
    const rest = [...shares];
    yield Array.from({ length: threshold }, () => rest.splice(rng.below(rest.length), 1)[0]!);
  }
}

/** Whether `recoverSecret` finds the secret wherever one wrong share lies, with so many more shares than the threshold. */
export const findsOneWrong = (threshold: number, spare: number): boolean =>
  spare > 0 && 1 + Math.ceil(threshold / spare) <= MAX_TRIES;

const isOnPolynomial = (entry: Contribution, good: readonly Contribution[]): boolean =>
  interpolate(good, xOf(entry)).every((byte, k) => byte === entry.share[k]);

/**
 * The secret whose shares these are, by trying at most 20 subsets; undefined if none of them gives one that verifies.
 * @param distrusted who gave wrong shares before: theirs are used last
 */
export async function recoverSecret(
  contributions: readonly Contribution[],
  threshold: number,
  verify: (secret: Uint8Array) => Promise<boolean>,
  distrusted: ReadonlySet<number> = new Set(),
): Promise<Recovered | undefined> {
  const shares = usable(contributions, distrusted);
  if (shares.length < threshold) return undefined;
  let tries = 0;
  for (const subset of subsets(shares, threshold)) {
    const secret = interpolate(subset, 0);
    if (await verify(secret)) {
      const good = new Set(subset);
      const doubtful = tries === 0 && shares.length === contributions.length ? [] : contributions;
      const wrong = doubtful.filter((entry) => !good.has(entry) && !isOnPolynomial(entry, subset));
      return { secret, wrong: wrong.map(({ from }) => from) };
    }
    secret.fill(0);
    tries += 1;
    if (tries === MAX_TRIES) return undefined;
  }
  return undefined;
}
