/**
 * Rounds of mode `secagg+dp` with a browser among Node participants: it counts what its noised reports add up to in a notebook of its
 * own, and takes no further offer, under whatever plan, that would pass the budget.
 */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { gaussianEpsilon } from '../../protocol/privacy/gaussian.ts';
import { browsersOf, joinWithSample, PAGE_PLAN, pageHarness } from './page-harness.ts';
import { identityOf } from './server-harness.ts';

const { startFederation, joinNode, openPage } = pageHarness();
const DELTA = 1e-5;

const noised = (count: number, cohort: number, seed: number) => ({
  ...PAGE_PLAN,
  seed,
  rounds: { count, cohort, minReports: 5, overSelection: 1, waitForAll: true, recruitMs: 3000 },
  privacy: { mode: 'secagg+dp', clipNorm: 2, noiseMultiplier: 1, epsilon: 8, delta: DELTA },
});

/** What the page's database holds under names that begin so. */
const kept = (page: Page, prefix: string): Promise<string[]> =>
  page.evaluate(async (start) => {
    const settled = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const database = await settled(indexedDB.open('tacit'));
    const values = database.transaction('values').objectStore('values');
    const names = (await settled(values.getAllKeys())).map(String).filter((name) => name.startsWith(start));
    const found = await Promise.all(names.map((name) => settled(values.get(name))));
    database.close();
    return found.map((bytes) => new TextDecoder().decode(bytes as Uint8Array));
  }, prefix);

it('counts its noised reports, and declines the one that would pass its budget, although the plan is another', async () => {
  const identity = await identityOf('noised-coordinator');
  const first = await startFederation(noised(2, 5, 5), { waitFor: 5, identity });
  const { page, context, complaints } = await openPage(first.server.joinUrl);
  await page.getByText('hidden in random noise').first().waitFor();
  await joinWithSample(page);
  const nodes = [0, 1, 2, 3].map((share) => joinNode(first, share));
  await page.getByRole('status').filter({ hasText: 'The run is complete; 2 updates' }).waitFor();
  const run = await first.run;
  await Promise.all(nodes);
  expect(run.history.map(({ participants }) => participants)).toEqual([5, 5]);
  const spent = gaussianEpsilon(1, 2, DELTA);
  expect(run.history.at(-1)!.epsilon).toBeCloseTo(spent, 6);
  expect(await page.locator('#budget').textContent()).toBe(`ε ${spent.toFixed(2)} of 8`);
  const notebooks = (await kept(page, 'notebook.')).map((text) => JSON.parse(text));
  expect(notebooks.map(({ privacy }) => privacy)).toEqual([{ releases: 2, squares: 2 }]);
  expect(complaints).toEqual([]);
  await page.close();
  await first.server.stop();

  // the same coordinator and task with another plan: the notebook is the same one
  const second = await startFederation(noised(1, 6, 6), { waitFor: 6, identity, port: first.server.port });
  const { page: later } = await openPage(second.server.joinUrl, context);
  await joinWithSample(later);
  const others = [0, 1, 2, 3, 4].map((share) => joinNode(second, share));
  const after = gaussianEpsilon(1, 3, DELTA).toFixed(3);
  await later
    .locator('#journal li')
    .filter({ hasText: `was declined: one more report would bring ε to ${after} at δ = 0.00001; 8 is the limit` })
    .waitFor({ state: 'attached' });
  await later.getByRole('status').filter({ hasText: 'The run is complete; 0 updates' }).waitFor();
  await Promise.all(others);
  const [browser] = browsersOf(first.events);
  expect(browsersOf(second.events)).toEqual([browser]);
  expect(second.events.filter((event) => event.type === 'declined')).toMatchObject([
    { participant: browser, code: 'privacy/budget-spent' },
  ]);
  expect((await second.run).history.map(({ participants }) => participants)).toEqual([5]);
});
