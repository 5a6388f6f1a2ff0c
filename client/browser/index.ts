/**
 * `tacit/client/browser`: take part in a federation from a page of one's own. The page must be served over https (or from
 * localhost), and bundled so that `new URL('…', import.meta.url)` of the training worker is followed (Vite, webpack and others do).
 *
 * ```ts
 * import { joinInBrowser } from 'tacit/client/browser';
 *
 * const leave = new AbortController();
 * leaveButton.onclick = () => leave.abort();
 *
 * const { ended, finalModel } = await joinInBrowser({
 *   url: 'https://federation.example.org:8443',
 *   fingerprint: '…', // of the coordinator's key, from somewhere you trust
 *   data: { kind: 'files', files: [...fileInput.files] }, // never leave this computer
 *   wasmPath: '/assets/wasm/', // where you serve the engines' WebAssembly files, see `BrowserJoinOptions`
 *   signal: leave.signal,
 *   onEvent: (event) => {
 *     if (event.type === 'trained') lossLabel.textContent = String(event.loss);
 *   },
 * });
 * ```
 */
import { checkSourceInBrowser } from '../../learning/data/browser.ts';
import type { SourceSpec } from '../../learning/data/source.ts';
import type { EngineChoice } from '../../learning/engine/engine.ts';
import { createBrowserPool } from '../../learning/pool/browser-pool.ts';
import { webCrypto } from '../../protocol/crypto/web.ts';
import { TacitError } from '../../protocol/errors.ts';
import type { Identity } from '../../protocol/identity.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { JoinOptions, JoinResult } from '../join-options.ts';
import { joinFederation } from '../participant.ts';
import { connectFromBrowser } from './connect.ts';
import { indexedStore } from './database.ts';
import { browserIdentity } from './identity.ts';

export { encoderFile } from '../encoder-file.ts';
export type { ParticipantEvent } from '../events.ts';
export type { JoinResult } from '../join-options.ts';
export { type Fact, factsOf, type Sharing, sharingOf } from '../plan-in-words.ts';
export { DEFAULT_POLICY, type LocalPolicy, parsePolicy, type Refusal } from '../policy.ts';
export type { Traffic } from '../traffic.ts';
export { browserIdentity } from './identity.ts';

type Shared = Pick<
  JoinOptions,
  'task' | 'fingerprint' | 'certificate' | 'policy' | 'retries' | 'keepModel' | 'onEvent' | 'signal'
>;

export interface BrowserJoinOptions extends Shared {
  /** The coordinator's address; default: where this page came from. */
  readonly url?: string | undefined;
  /** The private images: picked files, arrays, or a bundled sample that the page's server has. */
  readonly data: SourceSpec;
  /** Default: this browser's own, made on first use and kept in IndexedDB. */
  readonly identity?: Identity | undefined;
  readonly engine?: EngineChoice | undefined;
  /**
   * Where the engines' files are served, a URL ending in `/`: `ort-wasm-simd-threaded.{mjs,wasm}` of onnxruntime-web (for a GPU
   * `ort-wasm-simd-threaded.jspi.{mjs,wasm}` too) and `tfjs-backend-wasm*.wasm` of @tensorflow/tfjs-backend-wasm. Without the
   * former, training falls back to tfjs. Serve the page cross-origin isolated (COOP, COEP), and it trains on several threads.
   */
  readonly wasmPath?: string | undefined;
  /** Where the bundled data are served: a URL ending in `/`; default `/data/`. */
  readonly dataUrl?: string | undefined;
}

/** Examples that are decoded before the first round, so that data of another size are found out early. */
const LOOKED_AT = 64;

/** @throws TacitError net/insecure where a page is not allowed the cryptography that this takes */
function requireSecureContext(): void {
  if (globalThis.isSecureContext && globalThis.crypto?.subtle) return;
  throw new TacitError('net/insecure', 'this page was not served securely, so the browser offers it no cryptography', {
    hint: 'Open it by https://, or from localhost.',
  });
}

/**
 * Joins and takes part until the run has finished or `signal` aborts. Training runs in a Web Worker.
 * @throws TacitError net/*, auth/*, policy/refused, data/*, engine/unavailable, run/store
 */
export async function joinInBrowser(options: BrowserJoinOptions): Promise<JoinResult> {
  const { url, data, identity, engine, wasmPath, dataUrl, ...shared } = options;
  requireSecureContext();
  const pool = await createBrowserPool({
    ...(engine ? { engine } : {}),
    ...(wasmPath === undefined ? {} : { engineOptions: { wasmPath, runtimePath: wasmPath } }),
    ...(dataUrl === undefined ? {} : { dataUrl }),
  });
  const checkData = async (plan: Plan): Promise<void> => {
    const where = dataUrl === undefined ? {} : { dataUrl };
    const { problems } = await checkSourceInBrowser(data, plan.data, { limit: LOOKED_AT, ...where });
    const [first] = problems;
    if (first) throw new TacitError(first.code, first.message, first);
  };
  try {
    return await joinFederation({
      ...shared,
      identity: identity ?? (await browserIdentity()),
      crypto: webCrypto,
      platform: 'browser',
      trainer: pool,
      source: data,
      store: indexedStore(),
      connect: (signal) => connectFromBrowser(url ?? globalThis.location.origin, signal),
      checkData,
    });
  } finally {
    await pool.close();
  }
}
