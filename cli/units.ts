/** Numbers as people read them. */

/** `1.4 MB`: decimal units, as networks count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `48 s`, `3 min 05 s`, `2 h 04 min`. */
export function formatSeconds(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
}

/** `87.8 ± 2.1` for fractions 0.878 and 0.021; without a deviation `87.8`. */
export const formatPercent = (mean: number, sd?: number): string =>
  sd === undefined ? (100 * mean).toFixed(1) : `${(100 * mean).toFixed(1)} ± ${(100 * sd).toFixed(1)}`;

/** `93,120`; with a noun `1 round`, `93,120 rounds`. */
export const formatCount = (n: number, noun?: string): string =>
  `${n.toLocaleString('en-US')}${noun === undefined ? '' : ` ${noun}${n === 1 ? '' : 's'}`}`;
