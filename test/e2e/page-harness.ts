/** A real coordinator, the join page in a real Chromium, and Node participants over socket.io beside it. */
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type JoinResult, joinFromNode } from '../../client/index.ts';
import type { NodeJoinOptions } from '../../client/node/join.ts';
import { createPool } from '../../learning/pool/pool.ts';
import type { TrainingPool } from '../../learning/pool/scheduler.ts';
import { BROWSER_FLAGS, findBrowser } from '../../scripts/browser.mjs';
import type { CoordinatorEvent, RunResult } from '../../server/index.ts';
import { type ServeOptions, serve, type TacitServer } from '../../server/index.ts';

/** A small plan over the bundled digits; tests lay theirs over it. */
export const PAGE_PLAN = {
  version: 1,
  task: 'handwritten-digits',
  seed: 5,
  data: { shape: [8, 8, 1], minExamples: 16 },
  encoder: { name: 'mlp', hidden: [64], dim: 32 },
  pretext: { name: 'spectral', projector: { hidden: [64], dim: 32 } },
  augmentation: { name: 'image' },
  training: { steps: 5, batch: 32, optimiser: { name: 'adam', learningRate: 1e-3 } },
  rounds: { count: 3, cohort: 3, minReports: 3, overSelection: 1, waitForAll: true },
  privacy: { mode: 'sealed', clipNorm: 10 },
};

export interface Federation {
  readonly server: TacitServer;
  readonly events: CoordinatorEvent[];
  readonly run: Promise<RunResult>;
}

export interface OpenPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Everything that the browser complained about, violations of the security policy included. */
  readonly complaints: string[];
}

export interface PageHarness {
  startFederation(plan: unknown, options: Omit<ServeOptions, 'plan'> & { waitFor: number }): Promise<Federation>;
  /** A Node participant with its own share of the digits. */
  joinNode(at: Federation, share: number, options?: Partial<NodeJoinOptions>): Promise<JoinResult>;
  /** A profile of its own, to be prepared before a page is opened in it. */
  newContext(): Promise<BrowserContext>;
  /** In a profile of its own, or as another page of one that was opened before. */
  openPage(url: string, context?: BrowserContext): Promise<OpenPage>;
}

/** Starts the browser for a file of tests; whatever a test opens is closed after it. */
export function pageHarness(): PageHarness {
  let browser: Browser;
  let pool: TrainingPool;
  const cleanUp: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    const executablePath = findBrowser();
    browser = await chromium.launch({ args: BROWSER_FLAGS, ...(executablePath ? { executablePath } : {}) });
    pool = await createPool({ workers: 1 });
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
  });
  afterAll(async () => {
    await browser.close();
    await pool.close();
  });
  const newContext = async (): Promise<BrowserContext> => {
    const context = await browser.newContext({ acceptDownloads: true, viewport: { width: 900, height: 1400 } });
    cleanUp.push(() => context.close());
    return context;
  };
  return {
    async startFederation(plan, options) {
      const events: CoordinatorEvent[] = [];
      const server = await serve({ plan, port: 0, onEvent: (event) => events.push(event), ...options });
      cleanUp.push(() => server.stop());
      const run = server.run();
      run.catch(() => {});
      return { server, events, run };
    },
    joinNode({ server }, share, options) {
      const indices = Int32Array.from({ length: 100 }, (_, i) => share * 100 + i);
      const data = { kind: 'bundled', name: 'digits', split: 'train', indices } as const;
      return joinFromNode({ url: server.joinUrl, data, trainer: pool, ...options });
    },
    newContext,
    async openPage(url, given) {
      const context = given ?? (await newContext());
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(String(error)));
      await page.goto(url);
      return { page, context, complaints };
    },
  };
}

const SHOTS = process.env.TACIT_SCREENSHOTS;

/** A picture of the page, where somebody asked for them. */
export const shoot = async (page: Page, name: string): Promise<void> => {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
};

/** Ids of the participants that joined from a browser, as often as they did. */
export const browsersOf = (events: readonly CoordinatorEvent[]): string[] =>
  events.flatMap((e) => (e.type === 'joined' && e.platform === 'browser' ? [e.participant] : []));

/** Takes the built-in sample and presses Join. */
export async function joinWithSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Use the built-in sample' }).click();
  await page.getByText('256 images, ready.').waitFor();
  await page.getByRole('button', { name: 'Join' }).click();
}
