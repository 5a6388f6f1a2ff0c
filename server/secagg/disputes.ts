/**
 * Complaints of boxes: pairs of a dealer and a holder of its shares, of whom one is wrong and the coordinator cannot tell which. The holder has no
 * share of that dealer's secrets; a dealer of which too few have one could not be recovered, and is left out.
 */
export interface Disputes {
  add(holder: number, dealers: readonly number[]): void;
  /** Whether this holder has complained, of anybody. */
  by(holder: number): boolean;
  has(holder: number, dealer: number): boolean;
  /** Dealers whose shares are with fewer than `needed` of so many members. */
  beyond(needed: number, members: number): readonly number[];
}

export function createDisputes(): Disputes {
  const complaints = new Map<number, ReadonlySet<number>>();
  return {
    add: (holder, dealers) => void complaints.set(holder, new Set(dealers)),
    by: (holder) => complaints.has(holder),
    has: (holder, dealer) => complaints.get(holder)?.has(dealer) ?? false,
    beyond(needed, members) {
      const counts = new Map<number, number>();
      for (const dealers of complaints.values()) for (const v of dealers) counts.set(v, (counts.get(v) ?? 0) + 1);
      return [...counts].flatMap(([dealer, count]) => (members - count < needed ? [dealer] : []));
    },
  };
}
