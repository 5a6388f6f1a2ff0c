/** The first section: which federation this is, and whose key stands behind it. */
import { modelOf } from '../../../learning/model.ts';
import { completePlan } from '../../../learning/registry.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { FEDERATION_INFO_PATH, type FederationInfo, federationInfo } from '../../../protocol/federation-info.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { pinnedFingerprint } from '../../address.ts';
import { factsOf, leadOf, sharingOf } from '../../plan-in-words.ts';
import { checkPlan, type LocalPolicy } from '../../policy.ts';
import { byId, element, show } from './dom.ts';

/** What the coordinator says it runs. Nothing here is believed on joining, except that the person has read it. */
export interface Announced {
  readonly info: FederationInfo;
  readonly plan: Plan;
  /** The fingerprint in the page's address, if there is one. */
  readonly pinned: string | undefined;
}

const unavailable = (why: string): TacitError =>
  new TacitError('net/unreachable', `The coordinator does not say what it runs (${why}).`, {
    hint: 'Reload the page in a moment.',
  });

/** Asks the coordinator that served this page. @throws TacitError net/unreachable, plan/* */
export async function askCoordinator(): Promise<Announced> {
  const url = new URL(`.${FEDERATION_INFO_PATH}`, document.baseURI);
  const response = await fetch(url, { cache: 'no-store' }).catch((cause) => {
    throw unavailable(String(cause));
  });
  if (!response.ok) throw unavailable(`it answers ${response.status}`);
  const parsed = federationInfo.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) throw unavailable('its answer is of another version');
  const pinned = pinnedFingerprint(location.hash);
  return { info: parsed.data, plan: completePlan(parsed.data.plan), pinned };
}

/** Why this page will not join, in words; nothing if it may. */
export function obstacleTo({ info, plan, pinned }: Announced, policy: LocalPolicy): string | undefined {
  if (pinned !== undefined && pinned !== info.fingerprint) {
    return (
      'This coordinator is not the one that your link names: its key has another fingerprint. ' +
      'Do not take part before you have asked whoever sent you the link.'
    );
  }
  if (info.finished)
    return `This run is complete: all ${info.round} rounds are done, so there is nothing left to take part in.`;
  const parameters = modelOf(plan).reportShape.dimension;
  const refusals = checkPlan(policy, plan, { planHash: info.planHash, parameters });
  if (refusals.length === 0) return undefined;
  return `This page does not take part under such a plan:\n${refusals.map(({ reason }) => `• ${reason}`).join('\n')}`;
}

/** Shows the plan and the key. */
export function showFederation({ info, plan, pinned }: Announced): void {
  document.title = `${info.task} · Tacit`;
  byId('federation-title').textContent = info.task;
  byId('lead').textContent = leadOf(plan);
  const facts = factsOf(plan).flatMap(({ term, words }) => [element('dt', term), element('dd', words)]);
  byId('plan').replaceChildren(...facts);
  byId('fingerprint').textContent = info.fingerprint;
  const status = byId('key-status');
  const matches = pinned === info.fingerprint;
  status.textContent = pinned === undefined ? 'not checked' : matches ? 'as in your link' : 'not the one in your link';
  status.classList.toggle('bad', pinned !== undefined && !matches);
  byId('key-words').textContent =
    pinned === undefined
      ? 'This is the fingerprint of the coordinator’s key. Your link does not say what it should be, so compare it with what whoever runs the coordinator has told you.'
      : 'The fingerprint of the coordinator’s key, which your link names too. It is checked again, by signature, when you join.';
}

/** Shows what a person agrees to share. */
export function showSharing(plan: Plan): void {
  const { leaves, stays, note } = sharingOf(plan);
  const items = (texts: readonly string[]): HTMLLIElement[] => texts.map((text) => element('li', text));
  byId('shared').replaceChildren(...items(leaves));
  byId('kept').replaceChildren(...items(stays));
  byId('sharing-note').textContent = note;
  show(byId('sharing'), true);
}
