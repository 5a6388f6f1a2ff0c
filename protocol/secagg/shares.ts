/**
 * Shamir's scheme for the two secrets of a participant (SPEC.md §13.4). Secrets are split by shamir-secret-sharing over GF(2⁸), whose
 * randomness is the operating system's. Recovering from wrong shares gives a wrong secret and no error: what comes out is verified,
 * and where it does not hold, the wrong shares are found by their marks.
 */
import { split } from 'shamir-secret-sharing';
import { combineRows, lagrangeBasis } from './gf256.ts';
import { sharesOf } from './rules.ts';

export const SECRET_BYTES = 32;
/** 32 bytes of y, then x, from 1 to 255. */
export const SHARE_BYTES = SECRET_BYTES + 1;

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

const xOf = ({ share }: Contribution): number => share[SECRET_BYTES]!;

/** Whether there is a share at all: where one complained of its box, there are zeros. */
export const isShare = (entry: Contribution): boolean => entry.share.length === SHARE_BYTES && xOf(entry) !== 0;

/** The value at 0 of the polynomials through the first `threshold` of these shares. */
function secretOf(contributions: readonly Contribution[], threshold: number): Uint8Array {
  const shares = contributions.slice(0, threshold);
  const basis = lagrangeBasis(shares.map(xOf), 0);
  return combineRows(
    basis,
    shares.map(({ share }) => share),
    SECRET_BYTES,
  );
}

/** What came of recovering a secret. */
export interface Recovered {
  /** Undefined if there are too few right shares, or `isDealt` is false. */
  readonly secret?: Uint8Array;
  /** Who gave shares that are not the ones they were dealt, if that had to be looked at. */
  readonly wrong: readonly number[];
  /** False: enough shares are those that were dealt, and they are not of the secret. */
  readonly isDealt: boolean;
}

export interface Checks {
  /** Whether it is the secret that the dealer committed to. */
  readonly verify: (secret: Uint8Array) => Promise<boolean>;
  /** Whether a share fits the mark that its dealer made of it. */
  readonly fits: (contribution: Contribution) => Promise<boolean>;
}

/**
 * The secret whose shares these are. The first ones are taken as they are; if they do not give it, those that do not fit their marks
 * are left out. @param distrusted who gave wrong shares before: theirs are used when there are not enough others
 */
export async function recoverSecret(
  contributions: readonly Contribution[],
  threshold: number,
  { verify, fits }: Checks,
  distrusted: ReadonlySet<number> = new Set(),
): Promise<Recovered> {
  const given = contributions.filter(isShare);
  const trusted = given.filter(({ from }) => !distrusted.has(from));
  const recover = async (shares: readonly Contribution[]): Promise<Uint8Array | undefined> => {
    if (shares.length < threshold) return undefined;
    const secret = secretOf(shares, threshold);
    if (await verify(secret)) return secret;
    secret.fill(0);
    return undefined;
  };
  const first = await recover(trusted.length < threshold ? given : trusted);
  if (first) return { secret: first, wrong: [], isDealt: true };
  const fitting = await Promise.all(contributions.map(fits));
  const right = contributions.filter((_, i) => fitting[i]);
  const wrong = contributions.filter((_, i) => !fitting[i]).map(({ from }) => from);
  const second = await recover(right);
  return { ...(second ? { secret: second } : {}), wrong, isDealt: second !== undefined || right.length < threshold };
}
