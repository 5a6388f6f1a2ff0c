/**
 * The section for plans that admit certified keys only: the public key that a person sends to the operator, and the certificate that
 * comes back, checked as soon as it is put in.
 */
import { certificateFromText, certificateToText } from '../../../protocol/certificate-text.ts';
import { webCrypto } from '../../../protocol/crypto/web.ts';
import { asTacitError } from '../../../protocol/errors.ts';
import type { Identity } from '../../../protocol/identity.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { certificateWords, checkOwnCertificate } from '../../own-certificate.ts';
import { forgetCertificate, keepCertificate, keptCertificate } from '../certificate-store.ts';
import { browserIdentity } from '../identity.ts';
import { byId, element, show } from './dom.ts';
import { problemWords } from './problem.ts';
import { saveFile } from './save-file.ts';

/** Longer files are no certificates, whatever is in them. */
const MAX_FILE_BYTES = 16 * 1024;
const NONE_YET = 'No certificate yet: without one, the coordinator does not let this browser join.';

export interface CertificateChoice {
  /** While taking part nothing else can be put in. */
  lock(locked: boolean): void;
}

/** Whether the plan asks for certificates; only then is there anything to show. */
export const needsCertificate = ({ admission }: Plan): boolean => admission.certificates === 'required';

/** Offers the public key for copying and for download. */
function offerKey(identity: Identity, plan: Plan): void {
  const key = byId('public-key');
  key.textContent = identity.id;
  byId('operator-key').textContent = plan.admission.operatorKey ?? '';
  byId('enroll-command').textContent =
    `tacit enroll --operator operator.key --task ${plan.task} --out browser.cert -- ${identity.id}`;
  const copy = byId<HTMLButtonElement>('copy-key');
  copy.addEventListener('click', () => {
    navigator.clipboard.writeText(identity.id).then(
      () => {
        copy.textContent = 'Copied';
      },
      // not allowed here: selected, so that it can be copied by hand
      () => getSelection()?.selectAllChildren(key),
    );
  });
  byId('save-key').addEventListener('click', () => saveFile(`${identity.id}\n`, `${plan.task}-public-key.txt`));
}

function showVerdict(words: string, good: boolean | undefined): void {
  const kind = good === undefined ? 'hint' : `verdict ${good ? 'good' : 'bad'}`;
  byId('certificate-verdict').replaceChildren(element('p', words, kind));
}

/**
 * Wires the section and takes up the certificate that was kept before. @param onChange gets the certificate that may be joined with
 * @throws TacitError run/store
 */
export async function wireCertificate(
  plan: Plan,
  onChange: (certificate: Uint8Array | undefined) => void,
): Promise<CertificateChoice> {
  const field = byId<HTMLTextAreaElement>('certificate-text');
  const file = byId<HTMLInputElement>('certificate-file');
  const choose = byId<HTMLButtonElement>('choose-certificate');
  const forget = byId<HTMLButtonElement>('forget-certificate');
  const identity = await browserIdentity();
  offerKey(identity, plan);
  let latest = 0;

  const judge = async (): Promise<void> => {
    const mine = ++latest;
    onChange(undefined);
    show(forget, field.value !== '');
    if (field.value.trim() === '') return showVerdict(NONE_YET, undefined);
    try {
      const bytes = certificateFromText(field.value);
      const use = { plan, identity, nowSeconds: Date.now() / 1000 };
      const certificate = await checkOwnCertificate(webCrypto, bytes, use);
      await keepCertificate(plan, bytes);
      if (mine !== latest) return;
      showVerdict(certificateWords(certificate), true);
      onChange(bytes);
    } catch (thrown) {
      if (mine === latest) showVerdict(problemWords(asTacitError(thrown)), false);
    }
  };

  field.addEventListener('input', () => void judge());
  choose.addEventListener('click', () => file.click());
  file.addEventListener('change', async () => {
    const [picked] = file.files ?? [];
    if (!picked) return;
    field.value = await picked.slice(0, MAX_FILE_BYTES).text();
    file.value = '';
    await judge();
  });
  forget.addEventListener('click', async () => {
    field.value = '';
    await forgetCertificate(plan);
    await judge();
  });
  const kept = await keptCertificate(plan);
  if (kept) field.value = certificateToText(kept);
  await judge();
  show(byId('certificate'), true);
  return {
    lock(locked) {
      for (const control of [field, choose, forget]) control.disabled = locked;
    },
  };
}
