/**
 * A plan that admits certified keys only, under masks: the join page gives the key to be certified, takes the file that `tacit enroll`
 * writes, and takes part with it beside Node participants; without one, page and coordinator both refuse.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Context } from '../../cli/context.ts';
import { enroll } from '../../cli/enroll.ts';
import { fromBase64Url } from '../../protocol/bytes.ts';
import { type Certificate, issueCertificate } from '../../protocol/certificate.ts';
import { certificateToText } from '../../protocol/certificate-text.ts';
import type { Identity } from '../../protocol/identity.ts';
import { createIdentityFile } from '../../protocol/node/identity-file.ts';
import { browsersOf, joinWithSample, PAGE_PLAN, pageHarness, shoot } from './page-harness.ts';
import { identityOf } from './server-harness.ts';

const NODES = 4;
const TASK = PAGE_PLAN.task;
const { startFederation, joinNode, openPage } = pageHarness();

let dir: string;
let operator: Identity;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-certificates-'));
  operator = await createIdentityFile(join(dir, 'operator.key'));
});
afterAll(() => rm(dir, { recursive: true }));

const start = () =>
  startFederation(
    {
      ...PAGE_PLAN,
      rounds: { count: 2, cohort: NODES + 1, minReports: NODES + 1, overSelection: 1, waitForAll: true },
      privacy: { mode: 'secagg', clipNorm: 10 },
      admission: { certificates: 'required', operatorKey: operator.id },
    },
    { waitFor: NODES + 1 },
  );

const now = () => Math.floor(Date.now() / 1000);
const certificate = (by: Identity, identity: Uint8Array, changes: Partial<Certificate> = {}): Promise<Uint8Array> =>
  issueCertificate((statement) => by.sign(statement), {
    identity,
    tasks: [TASK],
    notAfter: now() + 86_400,
    nonce: new Uint8Array(32).fill(1),
    ...changes,
  });

const keyOn = async (page: Page): Promise<string> => {
  await page.getByRole('heading', { name: 'Your certificate' }).waitFor();
  return (await page.locator('#public-key').textContent()) ?? '';
};
const field = (page: Page) => page.getByLabel('Put in here what the operator sends back:');
const verdict = (page: Page, words: string) => page.locator('#certificate-verdict').filter({ hasText: words });

describe('a plan that requires certificates, on the join page', () => {
  it('lets the browser take part under masks with the file that the operator made, and keeps it', async () => {
    const federation = await start();
    const { page, complaints } = await openPage(federation.server.joinUrl);
    const key = await keyOn(page);
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download it' }).click();
    expect(await readFile(await (await saved).path(), 'utf8')).toBe(`${key}\n`);

    const file = join(dir, 'browser.cert');
    const options = { operator: join(dir, 'operator.key'), task: [TASK], days: 2, out: file };
    await enroll({ result: () => {} } as unknown as Context, options, key);
    await page.locator('#certificate-file').setInputFiles(file);
    await verdict(page, `It certifies your key for ${TASK}, until`).waitFor();
    await page.reload();
    await verdict(page, `It certifies your key for ${TASK}, until`).waitFor();
    expect((await field(page).inputValue()).trim()).toBe((await readFile(file, 'utf8')).trim());
    await shoot(page, '5-certified');

    await joinWithSample(page);
    const nodes = Array.from({ length: NODES }, async (_, i) => {
      const identity = await identityOf(`certified-${i}`);
      const own = await certificate(operator, identity.publicKey);
      return joinNode(federation, i, { identity, certificate: own });
    });
    await page.getByRole('status').filter({ hasText: 'The run is complete; 2 updates' }).waitFor();
    const run = await federation.run;
    expect(run.history.map(({ participants }) => participants)).toEqual([NODES + 1, NODES + 1]);
    expect((await Promise.all(nodes)).map(({ reports }) => reports)).toEqual(Array(NODES).fill(2));
    expect(browsersOf(federation.events)).toEqual([key]);
    expect(complaints).toEqual([]);
  });

  it('says before Join that it takes a certificate, and what is wrong with one that does not serve', async () => {
    const federation = await start();
    const { page } = await openPage(federation.server.joinUrl);
    const own = fromBase64Url(await keyOn(page));
    const stranger = await identityOf('stranger');
    await page.getByText('Only participants whose key an operator has certified may take part here').waitFor();
    await verdict(page, 'No certificate yet: without one, the coordinator does not let this browser join.').waitFor();

    const wrong: [Promise<Uint8Array> | string, string][] = [
      ['not a certificate', 'This is not a certificate.'],
      [certificate(operator, stranger.publicKey), `This certificate is for another key (${stranger.id})`],
      [certificate(stranger, own), "is not signed by the plan's operator"],
      [certificate(operator, own, { notAfter: now() - 10 }), 'This certificate expired on '],
      [certificate(operator, own, { notAfter: now() + 60 }), 'expires before a round could end'],
      [certificate(operator, own, { tasks: ['another'] }), `This certificate is for another, not for ${TASK}.`],
    ];
    for (const [given, words] of wrong) {
      await field(page).fill(typeof given === 'string' ? given : certificateToText(await given));
      await verdict(page, words).filter({ hasText: '(auth/certificate-invalid)' }).waitFor();
    }
    await shoot(page, '6-wrong-certificate');
    await page.getByRole('button', { name: 'Use the built-in sample' }).click();
    await page.getByText('256 images, ready.').waitFor();
    const button = page.getByRole('button', { name: 'Join' });
    expect(await button.isDisabled()).toBe(true);
    await page.getByText('This takes a certificate of the operator').waitFor();

    // nothing that did not serve was kept; one that serves is, until it is removed
    await field(page).fill(certificateToText(await certificate(operator, own)));
    await verdict(page, 'It certifies your key').waitFor();
    expect(await button.isDisabled()).toBe(false);
    await page.getByRole('button', { name: 'Remove the certificate' }).click();
    await verdict(page, 'No certificate yet').waitFor();
    await page.reload();
    await verdict(page, 'No certificate yet').waitFor();

    // whoever gets past the page meets the coordinator
    await page.getByRole('button', { name: 'Use the built-in sample' }).click();
    await page.getByText('256 images, ready.').waitFor();
    await button.evaluate((element) => {
      element.removeAttribute('disabled');
      (element as HTMLElement).click();
    });
    await page.getByRole('alert').filter({ hasText: '(auth/certificate-required)' }).waitFor();
    expect(browsersOf(federation.events)).toEqual([]);
  });
});
