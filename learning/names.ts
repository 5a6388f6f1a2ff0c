/** Names of tensors are paths: `params/encoder/dense0/kernel`. These put a prefix before them and take it off. */

type Named<T> = Readonly<Record<string, T>>;

/** `{a}` under `p` → `{p/a}` */
export const under = <T>(prefix: string, entries: Named<T>): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).map(([name, value]) => [`${prefix}/${name}`, value]));

/** `{p/a, q/b}` within `p` → `{a}` */
export const within = <T>(prefix: string, entries: Named<T>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(entries)
      .filter(([name]) => name.startsWith(`${prefix}/`))
      .map(([name, value]) => [name.slice(prefix.length + 1), value]),
  );

/** `{p/a, p/b, q/c}` → `{p: {a, b}, q: {c}}` */
export function grouped<T>(entries: Named<T>): Record<string, Record<string, T>> {
  const groups: Record<string, Record<string, T>> = {};
  for (const [path, value] of Object.entries(entries)) {
    const slash = path.indexOf('/');
    const group = path.slice(0, slash);
    groups[group] ??= {};
    groups[group][path.slice(slash + 1)] = value;
  }
  return groups;
}
