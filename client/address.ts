/** What a person types as a coordinator's address: checked before anything is sent to it. */
import { TacitError } from '../protocol/errors.ts';

/** The coordinator's origin and, when the address ends in `#srv=…`, the fingerprint that it pins. */
export interface Address {
  readonly url: URL;
  readonly fingerprint?: string;
}

const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether a URL's host is this machine. */
export const isLoopback = (hostname: string): boolean => LOOPBACK.test(hostname);

/** The fingerprint in a URL's fragment (`#srv=…`), if there is one. */
export function pinnedFingerprint(fragment: string): string | undefined {
  return new URLSearchParams(fragment.replace(/^#/, '')).get('srv') ?? undefined;
}

/**
 * Parses `https://host[:port]`, `wss://…`, or `http://`, `ws://` for this machine.
 * @throws TacitError usage/unknown-flag for what is no such address, net/insecure for plain http to another machine
 */
export function parseAddress(text: string): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^(https?|wss?):$/.test(url.protocol)) {
    throw new TacitError('usage/unknown-flag', `"${text}" is not the address of a coordinator`, {
      hint: 'Write it like https://example.org:8443, or http://localhost:8080 for this machine.',
    });
  }
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  if (!secure && !isLoopback(url.hostname)) {
    throw new TacitError('net/insecure', `${url.origin} is plain http to another machine`, {
      where: text,
      hint: 'Use https:// (the coordinator takes --tls-cert and --tls-key). Plain http would let anyone on the way read and change what is sent.',
    });
  }
  const fingerprint = pinnedFingerprint(url.hash);
  return { url, ...(fingerprint ? { fingerprint } : {}) };
}
