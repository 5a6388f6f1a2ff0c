/** File names in the order a person expects (`2.png` before `10.png`), the same on every platform and in every locale. */

const RUNS = /\d+|\D+/g;

function compareRuns(a: string, b: string): number {
  const bothNumbers = a.charCodeAt(0) - 48 < 10 && b.charCodeAt(0) - 48 < 10 && /^\d/.test(a) && /^\d/.test(b);
  if (!bothNumbers) return a < b ? -1 : a > b ? 1 : 0;
  const x = a.replace(/^0+/, '');
  const y = b.replace(/^0+/, '');
  if (x.length !== y.length) return x.length - y.length;
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Runs of digits by value, everything else by code unit; names equal in value (`01`, `1`) by code unit. */
export function naturalCompare(a: string, b: string): number {
  const x = a.match(RUNS) ?? [];
  const y = b.match(RUNS) ?? [];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const order = compareRuns(x[i]!, y[i]!);
    if (order !== 0) return order;
  }
  if (x.length !== y.length) return x.length - y.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Paths by their components, so that the files of a folder stay together. */
export function comparePaths(a: string, b: string): number {
  const x = a.split('/');
  const y = b.split('/');
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const order = naturalCompare(x[i]!, y[i]!);
    if (order !== 0) return order;
  }
  return x.length - y.length;
}
