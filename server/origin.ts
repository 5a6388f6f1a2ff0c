/**
 * Which web pages may talk to this coordinator. WebSockets are not subject to CORS, so the Origin of a handshake is checked here;
 * and a coordinator that serves this machine only answers to this machine's names, or a page of another site could reach it by
 * giving its own name the address 127.0.0.1 (DNS rebinding).
 */
import type { IncomingMessage } from 'node:http';

export interface OriginPolicy {
  /** Whether the server listens on a loopback address. */
  readonly loopbackOnly: boolean;
  /** Further origins that may connect, such as `https://example.org`. */
  readonly origins: readonly string[];
}

const LOOPBACK_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|::1|0:0:0:0:0:0:0:1)$/i;

/** Whether an address or host name (without a port) is this machine's own. */
export const isLoopback = (host: string): boolean => LOOPBACK_NAME.test(host);

const hostNameOf = (host: string): string | undefined =>
  URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : undefined;

/** Whether the `Host` of a request names this server. */
export function hostAllowed(request: IncomingMessage, policy: OriginPolicy): boolean {
  const name = hostNameOf(request.headers.host ?? '');
  return name !== undefined && (!policy.loopbackOnly || isLoopback(name));
}

/** Whether a handshake may go on: no Origin (not a browser), a page of this server's own, or an origin that was allowed. */
export function originAllowed(request: IncomingMessage, policy: OriginPolicy): boolean {
  if (!hostAllowed(request, policy)) return false;
  const { origin, host } = request.headers;
  if (origin === undefined) return true;
  if (policy.origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
