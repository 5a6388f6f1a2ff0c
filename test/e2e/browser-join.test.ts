/**
 * The whole way at once: a real coordinator, Node participants over socket.io, and the join page in a real Chromium, in the same
 * rounds. Needs the built page and worker (`npm run build`), which `npm test` sees to.
 */
import { readFile } from 'node:fs/promises';
import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { decodeSafetensors } from '../../protocol/safetensors.ts';
import type { CoordinatorEvent } from '../../server/index.ts';
import { browsersOf, PAGE_PLAN as PLAN, pageHarness, shoot } from './page-harness.ts';

const ROUNDS = PLAN.rounds.count;

const { startFederation: start, joinNode, newContext, openPage } = pageHarness();
const startFederation = (plan: unknown = PLAN) => start(plan, { waitFor: 3 });

/** A grey PNG of random-looking pixels, as a person might pick it. */
function picture(name: string, size: number, seed = 0): { name: string; mimeType: string; buffer: Buffer } {
  const data = Uint8Array.from({ length: size * size }, (_, i) => (i * 37 + seed * 101 + i * i * (seed + 3)) & 255);
  const png = encode({ width: size, height: size, data, channels: 1, depth: 8 });
  return { name, mimeType: 'image/png', buffer: Buffer.from(png) };
}

/** Ids of the participants whose reports counted in each round. */
const cohorts = (events: readonly CoordinatorEvent[]): string[][] =>
  Array.from({ length: ROUNDS }, (_, round) =>
    events.flatMap((e) => (e.type === 'report' && e.round === round ? [e.participant] : [])),
  );

describe('the join page', () => {
  it('takes part in the same rounds as Node participants, and keeps the encoder', async () => {
    const federation = await startFederation();
    const { page, complaints } = await openPage(federation.server.joinUrl);
    await page.getByRole('heading', { name: 'handwritten-digits' }).waitFor();
    await page.getByRole('button', { name: 'Use the built-in sample' }).click();
    await page.getByText('256 images, ready.').waitFor();
    await shoot(page, '1-ready');
    await page.getByRole('button', { name: 'Join' }).click();
    const nodes = [joinNode(federation, 0), joinNode(federation, 1)];
    await page.getByRole('status').filter({ hasText: 'The run is complete' }).waitFor();
    await shoot(page, '2-finished');
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    expect(await page.locator('#engine').textContent()).toMatch(
      /^compiled:wasm: the fastest that runs here; WebAssembly on [1-4] threads?(; .*WebGPU.*)?; kernels with fused multiply-add$/,
    );

    const run = await federation.run;
    expect(run).toMatchObject({ finished: true, rounds: ROUNDS });
    for (const result of await Promise.all(nodes)) {
      expect(result).toMatchObject({ ended: 'finished', rounds: ROUNDS, reports: ROUNDS, modelHash: run.modelHash });
    }
    const { events } = federation;
    const [participant] = browsersOf(events);
    for (const cohort of cohorts(events)) {
      expect(cohort).toHaveLength(3);
      expect(cohort).toContain(participant);
    }
    expect(await page.locator('#contributions').textContent()).toBe(String(ROUNDS));
    expect(await page.locator('#round-text').textContent()).toBe(`${ROUNDS} of ${ROUNDS}`);

    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download the encoder' }).click();
    const file = await readFile(await (await download).path());
    const { arrays, metadata } = decodeSafetensors(file);
    expect(metadata.modelHash).toBe(run.modelHash);
    const whole = decodeSafetensors(run.model).arrays;
    expect(Object.keys(arrays).length).toBeGreaterThan(0);
    for (const [name, array] of Object.entries(arrays)) {
      expect(name).toMatch(/^encoder\//);
      expect(array).toEqual(whole[name]);
    }
    await page.reload();
    await page.getByRole('alert').filter({ hasText: 'This run is complete: all 3 rounds are done' }).waitFor();
    expect(complaints).toEqual([]);
  });

  it('shows that another engine has taken over after the first step failed, and why', async () => {
    const federation = await startFederation({ ...PLAN, task: 'fallback' });
    const context = await newContext();
    // the worker's probe gets its memory, the real step does not
    const limit = `{
      const real = WebAssembly.instantiate;
      let modules = 0;
      WebAssembly.instantiate = (source, imports) =>
        source instanceof WebAssembly.Module && ++modules > 1
          ? Promise.reject(new RangeError('could not allocate memory'))
          : real(source, imports);
    }`;
    await context.route(/browser-worker[^/]*\.js$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${limit}\n${await response.text()}` });
    });
    const { page, complaints } = await openPage(federation.server.joinUrl, context);
    await page.getByRole('button', { name: 'Use the built-in sample' }).click();
    await page.getByText('256 images, ready.').waitFor();
    await page.getByRole('button', { name: 'Join' }).click();
    const nodes = [joinNode(federation, 0), joinNode(federation, 1)];
    await page.getByRole('status').filter({ hasText: 'The run is complete' }).waitFor();
    expect(await page.locator('#engine').textContent()).toBe(
      'eager:wasm: WebAssembly, operation by operation; the compiled engine failed: could not allocate memory',
    );
    expect(await page.locator('#engine-words').textContent()).toContain('the slower engine');
    expect(await federation.run).toMatchObject({ finished: true, rounds: ROUNDS });
    await Promise.all(nodes);
    expect(complaints).toEqual([]);
  });

  it('takes files of a person’s own, says which do not fit, leaves, and comes back as the same participant', async () => {
    const federation = await startFederation({ ...PLAN, task: 'own-images', rounds: { ...PLAN.rounds, count: 2 } });
    const { page, complaints } = await openPage(federation.server.url);
    await page.getByText('not checked').waitFor();
    const join = page.getByRole('button', { name: 'Join' });
    expect(await join.isDisabled()).toBe(true);

    await page.locator('#files').setInputFiles([picture('small.png', 8), picture('large.png', 9)]);
    await page.getByText(/large\.png/).waitFor();
    await shoot(page, '3-refused');
    expect(await join.isDisabled()).toBe(true);

    const own = Array.from({ length: 40 }, (_, i) => picture(`${i}.png`, 8, i));
    await page
      .locator('#files')
      .setInputFiles([...own, { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') }]);
    await page.getByText('40 images, ready.').waitFor();
    await page.getByText('1 files that are neither PNG nor JPEG are left out.').waitFor();
    await join.click();
    await page.getByRole('status').filter({ hasText: 'Joined' }).waitFor();
    await page.getByRole('button', { name: 'Leave' }).click();
    await page.getByRole('status').filter({ hasText: 'You have left' }).waitFor();
    expect(browsersOf(federation.events)).toHaveLength(1);

    await page.reload();
    await page.getByRole('button', { name: 'Use the built-in sample' }).click();
    await page.getByText('256 images, ready.').waitFor();
    await join.click();
    const nodes = [joinNode(federation, 0), joinNode(federation, 1)];
    await page.getByRole('status').filter({ hasText: 'The run is complete' }).waitFor();
    expect(new Set(browsersOf(federation.events)).size).toBe(1);
    expect((await Promise.all(nodes)).map(({ rounds }) => rounds)).toEqual([2, 2]);
    expect(complaints).toEqual([]);
  });

  it('does not join a coordinator whose key is not the one in the link', async () => {
    const federation = await startFederation();
    const { page } = await openPage(`${federation.server.url}/#srv=${'A'.repeat(43)}`);
    await page.getByRole('alert').filter({ hasText: 'is not the one that your link names' }).waitFor();
    await shoot(page, '4-wrong-key');
    expect(await page.getByRole('button', { name: 'Join' }).isVisible()).toBe(false);
    expect(federation.events.some(({ type }) => type === 'joined')).toBe(false);
  });

  it('sends nothing before Join is pressed, and no image afterwards', async () => {
    const federation = await startFederation({ ...PLAN, task: 'what-leaves', rounds: { ...PLAN.rounds, count: 1 } });
    const { page } = await openPage(federation.server.joinUrl);
    const sent: Buffer[] = [];
    const requests: string[] = [];
    page.on('request', (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`));
    page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(Buffer.from(payload))));
    const own = Array.from({ length: 40 }, (_, i) => picture(`secret-${i}.png`, 8, i));
    await page.locator('#files').setInputFiles(own);
    await page.getByText('40 images, ready.').waitFor();
    expect(requests.filter((request) => !request.startsWith('GET /assets/'))).toEqual([]);
    expect(sent).toEqual([]);

    await page.getByRole('button', { name: 'Join' }).click();
    const nodes = [joinNode(federation, 0), joinNode(federation, 1)];
    await page.getByRole('status').filter({ hasText: 'The run is complete' }).waitFor();
    await Promise.all(nodes);
    const all = Buffer.concat(sent);
    expect(all.length).toBeGreaterThan(42_000);
    for (const needle of ['secret-', 'PNG', 'IDAT']) expect(all.includes(needle)).toBe(false);
    for (const { buffer } of own) expect(all.includes(buffer.subarray(40, 56))).toBe(false);
    expect(requests.filter((request) => !request.startsWith('GET '))).toEqual([]);
  });
});
