/**
 * Connects a Node participant to a coordinator over socket.io: TLS with a certificate authority of one's own where needed,
 * proxies by HTTPS_PROXY and NO_PROXY, and a reason in plain words when it does not work.
 */
import { HttpsProxyAgent } from 'https-proxy-agent';
import { NodeWebSocket } from 'socket.io-client';
import { TacitError } from '../../protocol/errors.ts';
import type { Connection } from '../../protocol/transport.ts';
import { isLoopback, parseAddress } from '../address.ts';
import { openSocket } from '../socket.ts';
import { proxyFor } from './proxy.ts';

export interface ConnectOptions {
  /** PEM of certificate authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Address of an HTTP proxy; default: by the environment. `false`: none whatever the environment says. */
  readonly proxy?: string | false;
  readonly signal?: AbortSignal;
}

/**
 * WebSockets whose masking key is zero, so that no byte has to be masked and unmasked. Masks keep what a page sends from being read as
 * something else by machines between (RFC 6455 §10.3); between two processes of one machine there are none.
 */
class UnmaskedWebSocket extends NodeWebSocket {
  override createSocket(
    ...[uri, protocols, options]: Parameters<NodeWebSocket['createSocket']>
  ): ReturnType<NodeWebSocket['createSocket']> {
    return super.createSocket(uri, protocols, { ...options, generateMask: (key: Uint8Array) => void key.fill(0) });
  }
}

/**
 * Opens a connection to the coordinator at `url`.
 * @throws TacitError net/unreachable, net/timeout, net/tls, net/insecure, usage/unknown-flag
 */
export async function connectSocket(url: string, options: ConnectOptions = {}): Promise<Connection> {
  const address = parseAddress(url);
  const proxy = options.proxy === false ? undefined : (options.proxy ?? proxyFor(address.url, process.env));
  const tls = options.ca === undefined ? {} : { ca: options.ca };
  // engine.io-client hands `agent` and `ca` to ws, whose types it does not repeat
  const agent = proxy === undefined ? {} : { agent: proxyAgent(proxy, tls) as unknown as string };
  return openSocket(
    address.url.origin.replace(/^ws/, 'http'),
    { ...tls, ...agent, ...(isLoopback(address.url.hostname) ? { transports: [UnmaskedWebSocket] } : {}) },
    explainTo(address.url),
    options.signal,
  );
}

function proxyAgent(proxy: string, tls: { ca?: string }): HttpsProxyAgent<string> {
  if (URL.canParse(proxy)) return new HttpsProxyAgent(proxy, tls);
  throw new TacitError('usage/unknown-flag', `"${proxy}" is not the address of a proxy`, {
    where: 'HTTPS_PROXY',
    hint: 'Write it like http://proxy.example.org:3128.',
  });
}

const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody is listening there',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name could not be looked up',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ECONNRESET: 'the other side hung up',
  EPIPE: 'the other side hung up',
  ETIMEDOUT: 'the host does not answer',
};
const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH)/;

/** The system's own error inside what engine.io-client reports, if there is one. */
function systemError(thrown: unknown, depth = 0): { code?: string; message: string } | undefined {
  if (typeof thrown !== 'object' || thrown === null || depth > 6) return undefined;
  const { code, message, description, error, errors } = thrown as Record<string, unknown>;
  if (typeof code === 'string' && typeof message === 'string') return { code, message };
  const inner = Array.isArray(errors) ? errors[0] : (error ?? description);
  return systemError(inner, depth + 1) ?? (typeof message === 'string' ? { message } : undefined);
}

const explainTo =
  (url: URL) =>
  (cause: Error): TacitError => {
    const { code, message } = systemError(cause) ?? { message: cause.message };
    const where = url.origin;
    if (cause.message === 'timeout') return new TacitError('net/timeout', `${where} did not answer in time`, { cause });
    if (code !== undefined && TLS_CODE.test(code)) {
      return new TacitError('net/tls', `${where}: ${message}`, {
        hint: 'If the coordinator has a certificate of its own authority, give that authority with --ca FILE.',
        cause,
      });
    }
    const why = (code && UNREACHABLE[code]) ?? message;
    return new TacitError('net/unreachable', `${where} cannot be reached: ${why}`, {
      hint: 'Is the coordinator running, and is the port right?',
      cause,
    });
  };
