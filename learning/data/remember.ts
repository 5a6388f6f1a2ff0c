/**
 * One copy per process of what was opened: a pool opens the same source in every round, and reading it anew each time would
 * cost more than the round. An entry is valid while its signature (sizes, times) is unchanged.
 */

const KEPT = 8;

interface Remembered<T> {
  readonly signature: string;
  readonly value: Promise<T>;
}

/** A memory of the last few things built, by key; the one longest unused is forgotten first. */
export function createMemory<T>(): (key: string, signature: string, build: () => Promise<T>) => Promise<T> {
  const entries = new Map<string, Remembered<T>>();
  return (key, signature, build) => {
    const known = entries.get(key);
    entries.delete(key);
    const entry = known?.signature === signature ? known : { signature, value: build() };
    entries.set(key, entry);
    entry.value.catch(() => {
      if (entries.get(key) === entry) entries.delete(key);
    });
    const oldest = entries.keys().next();
    if (entries.size > KEPT && !oldest.done) entries.delete(oldest.value);
    return entry.value;
  };
}
