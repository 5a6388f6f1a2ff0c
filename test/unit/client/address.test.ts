import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../client/address.ts';
import { isExempt, proxyFor } from '../../../client/node/proxy.ts';

const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'ok';
  } catch (thrown) {
    return (thrown as { code: string }).code;
  }
};

describe('parseAddress', () => {
  it.each([
    'http://localhost:8080',
    'http://127.0.0.1',
    'http://127.3.2.1:9',
    'http://[::1]:8080',
    'ws://localhost:1',
    'https://example.org',
    'wss://example.org:8443',
  ])('takes %s', (text) => {
    expect(codeOf(() => parseAddress(text))).toBe('ok');
  });

  it.each(['http://example.org', 'ws://10.0.0.1:8080', 'http://127.0.0.1.example.org', 'http://localhost.example.org'])(
    'refuses plain http to another machine: %s',
    (text) => {
      expect(codeOf(() => parseAddress(text))).toBe('net/insecure');
    },
  );

  it.each(['', 'example', 'localhost:8080', 'ftp://localhost', '/tmp'])('refuses what is no address: "%s"', (text) => {
    expect(codeOf(() => parseAddress(text))).toBe('usage/unknown-flag');
  });

  it('reads the fingerprint that a link pins', () => {
    expect(parseAddress('https://example.org/#srv=abc_-1').fingerprint).toBe('abc_-1');
    expect(parseAddress('https://example.org/').fingerprint).toBeUndefined();
  });
});

describe('proxies', () => {
  const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: 'localhost, .internal.org,10.1.2.3:8443' };

  it('serve secure connections to what is not exempt', () => {
    expect(proxyFor(new URL('https://example.org'), env)).toBe('http://proxy:3128');
    expect(proxyFor(new URL('wss://example.org'), env)).toBe('http://proxy:3128');
    expect(proxyFor(new URL('http://localhost'), env)).toBeUndefined();
    expect(proxyFor(new URL('https://localhost'), env)).toBeUndefined();
    expect(proxyFor(new URL('https://a.internal.org'), env)).toBeUndefined();
    expect(proxyFor(new URL('https://10.1.2.3:8443'), env)).toBeUndefined();
    expect(proxyFor(new URL('https://10.1.2.3'), env)).toBe('http://proxy:3128');
    expect(proxyFor(new URL('https://example.org'), {})).toBeUndefined();
  });

  it('prefer the variable in small letters, as other tools do', () => {
    expect(proxyFor(new URL('https://example.org'), { ...env, https_proxy: 'http://other:1' })).toBe('http://other:1');
  });

  it('exempt by whole names only', () => {
    expect(isExempt(new URL('https://notinternal.org'), 'internal.org')).toBe(false);
    expect(isExempt(new URL('https://internal.org'), '.internal.org')).toBe(true);
    expect(isExempt(new URL('https://a.b'), '*')).toBe(true);
    expect(isExempt(new URL('https://[::1]:8080'), '::1')).toBe(true);
    expect(isExempt(new URL('https://a.b'), '')).toBe(false);
  });
});
