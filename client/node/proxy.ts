/** Which proxy leads to a host, by the environment variables that other tools honour too. */

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether `NO_PROXY` exempts this host: `*`, a host, a domain with or without a leading dot, each optionally with a port. */
export function isExempt(url: URL, noProxy: string): boolean {
  const port = url.port || (url.protocol === 'http:' ? '80' : '443');
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  return noProxy
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      // host, host:port, [v6]:port, or a bare v6 address, whose colons separate no port
      const [, name = entry, only] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
      if (only !== undefined && only !== port) return false;
      const domain = name.replace(/^\*?\./, '').replace(/^\[|\]$/g, '');
      return host === domain || host.endsWith(`.${domain}`);
    });
}

/** The proxy for a secure connection to `url`, or undefined. Plain http goes to this machine only, and never by a proxy. */
export function proxyFor(url: URL, env: Environment): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'wss:') return undefined;
  const proxy = env.https_proxy || env.HTTPS_PROXY || env.all_proxy || env.ALL_PROXY;
  if (!proxy || isExempt(url, env.no_proxy || env.NO_PROXY || '')) return undefined;
  return proxy;
}
