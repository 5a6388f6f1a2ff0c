/**
 * The compiled engine in Chromium as a contender: each step in a Web Worker of a cross-origin isolated page, its modules served
 * from the sources by Vite. Both tools are there for development only; without them, or without a browser, there is no contender.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../cli/package-root.ts';
import type { Contender, Contenders } from './engine-contender.ts';
import type { StepName } from './engine-steps.ts';
import type { ToWebStep } from './engine-web-worker.ts';

/** What the tests' own script knows of browsers; it is not part of the built tree. */
interface BrowserScript {
  findBrowser(): string | undefined;
  readonly BROWSER_FLAGS: string[];
}

export interface WebBench {
  /** The browser and its version, if there is one. */
  readonly browser?: string;
  /** A page that holds the step for each number of threads, or nothing where there is no browser. */
  readonly contenders: Contenders;
  close(): Promise<void>;
}

/** Without a browser. */
export const NO_WEB: WebBench = { contenders: async () => [], close: async () => {} };

const PAGE = '/bench.html';
const WORKER = '/bench/engine-web-worker.ts';
const RUNTIME = '/node_modules/onnxruntime-web/dist/';
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
/** Found out while it runs, a dependency would make Vite reload the page. */
const DEPENDENCIES = [
  'fft.js',
  'umap-js',
  'zod',
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-backend-wasm',
  'onnxruntime-web/wasm',
  'onnxruntime-web/jspi',
];

/** A server of this package's sources. */
async function serveSources() {
  const { createServer } = await import('vite');
  const server = await createServer({
    root: packageRoot,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    cacheDir: 'node_modules/.vite-bench',
    optimizeDeps: { noDiscovery: true, include: DEPENDENCIES },
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
    plugins: [
      {
        name: 'blank-page',
        configureServer: ({ middlewares }) => {
          // a worker of an isolated page has to be isolated itself, and Vite's own `headers` do not reach every answer
          middlewares.use((_request, response, next) => {
            for (const [name, value] of Object.entries(ISOLATED)) response.setHeader(name, value);
            next();
          });
          middlewares.use(PAGE, (_request, response) => {
            response.setHeader('Content-Type', 'text/html');
            response.end('<!doctype html><title>bench</title>');
          });
        },
      },
    ],
  });
  await server.listen();
  return server;
}

/** In the page: sends the worker a message, and waits for its answer. It is made by the first. */
async function ask([script, message]: [string, ToWebStep]): Promise<number[]> {
  const page = globalThis as unknown as { worker?: Worker };
  page.worker ??= new Worker(script, { type: 'module' });
  const { worker } = page;
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.failed ? reject(new Error(data.failed)) : resolve(data.numbers));
    worker.onerror = ({ message: text }) => reject(new Error(text));
    worker.postMessage(message);
  });
}

/** Where a browser is; nothing where the development tools are not installed. */
async function findTools() {
  try {
    const script = pathToFileURL(join(packageRoot, 'scripts/browser.mjs')).href;
    const { findBrowser, BROWSER_FLAGS } = (await import(script)) as BrowserScript;
    const { chromium } = await import('playwright-core');
    const executablePath = findBrowser();
    return executablePath === undefined ? undefined : { chromium, launch: { args: BROWSER_FLAGS, executablePath } };
  } catch {
    return undefined;
  }
}

const medianOf = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** Starts the browser; without one, says so and gives a bench without contenders. */
export async function openWebBench(progress: (text: string) => void): Promise<WebBench> {
  const tools = await findTools();
  if (!tools) {
    progress('no Chromium (TACIT_CHROMIUM): compiled-web is left out');
    return NO_WEB;
  }
  const server = await serveSources();
  const browser = await tools.chromium.launch(tools.launch);
  const [address] = server.resolvedUrls!.local as [string];
  const contender = async (step: StepName, threads: number): Promise<Contender> => {
    const page = await browser.newPage();
    await page.goto(new URL(PAGE, address).href);
    const send = (message: ToWebStep) => page.evaluate(ask, [WORKER, message] as [string, ToWebStep]);
    await send({ step, threads, runtimePath: RUNTIME });
    const measure = async (runs: number) => (await send({ runs })).map((ms) => ({ ms }));
    const copyShare = async (runs: number) => medianOf(await send({ copies: runs }));
    return { engine: 'compiled-web', threads, measure, copyShare, close: () => page.close() };
  };
  return {
    browser: `Chromium ${browser.version()}`,
    contenders: (step, threads) => Promise.all(threads.map((count) => contender(step, count))),
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}
