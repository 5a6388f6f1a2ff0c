/** The join page: shows what this is about, lets a person choose images, and takes part when told to. */
import './strict.ts';
import type { SourceSpec } from '../../../learning/data/source.ts';
import { asTacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { DEFAULT_POLICY, type LocalPolicy } from '../../policy.ts';
import { encoderFile, type JoinResult, joinInBrowser } from '../index.ts';
import { type CertificateChoice, needsCertificate, wireCertificate } from './certificate.ts';
import { byId, show } from './dom.ts';
import { type Announced, askCoordinator, obstacleTo, showFederation, showSharing } from './federation.ts';
import { DATA_URL, type Images, wireImages } from './images.ts';
import { showProblem } from './problem.ts';
import { showProgress } from './progress.ts';
import { saveFile } from './save-file.ts';

/** Folder of tfjs's WebAssembly files, relative to the page; put in by the build. */
declare const __WASM_FOLDER__: string;

/** What a reload of this tab remembers: that the person was taking part, and with the sample. */
const RESUME = 'tacit.taking-part';

function offerDownload(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const button = byId<HTMLButtonElement>('download');
  show(button, true);
  button.onclick = () => saveFile(bytes, name);
  button.focus();
}

/** Taking part, from pressing Join to the end. */
interface Participation {
  readonly announced: Announced;
  readonly policy: LocalPolicy;
  readonly images: Images;
  /** The chosen images, if they fit. */
  data: SourceSpec | undefined;
  sample: boolean;
  /** The field for a certificate, where the plan asks for one. */
  certified: CertificateChoice | undefined;
  /** The certificate, if it is good. */
  certificate: Uint8Array | undefined;
  leave: AbortController | undefined;
  /** The run is over, so there is nothing to join any more. */
  finished: boolean;
}

const joinButton = byId<HTMLButtonElement>('join');
const leaveButton = byId<HTMLButtonElement>('leave');

/** What is still missing before Join can be pressed. */
function missing({ announced, data, certificate }: Participation): string | undefined {
  if (data === undefined) return 'Choose images that fit first.';
  if (needsCertificate(announced.plan) && !certificate) return 'This takes a certificate of the operator: see above.';
  return undefined;
}

/** Shows what can be done now. */
function refresh(participation: Participation): void {
  const { leave, images, certified, finished } = participation;
  const running = leave !== undefined;
  const lacks = missing(participation);
  joinButton.disabled = lacks !== undefined;
  show(joinButton, !running && !finished);
  show(leaveButton, running);
  leaveButton.disabled = leave?.signal.aborted ?? false;
  images.lock(running || finished);
  certified?.lock(running || finished);
  byId('join-hint').textContent = hintFor(running, finished, lacks);
}

function hintFor(running: boolean, finished: boolean, lacks: string | undefined): string {
  if (running) return 'Keep this page open; it may be in the background.';
  if (finished) return '';
  return lacks ?? 'Nothing is sent before you press Join.';
}

function conclude(plan: Plan, result: JoinResult): void {
  const { ended, reports, modelHash, finalModel } = result;
  const updates = `${reports} ${reports === 1 ? 'update' : 'updates'} of yours ${reports === 1 ? 'was' : 'were'} sent`;
  if (ended === 'left') byId('status').textContent = `You have left; ${updates}. Thank you.`;
  else byId('status').textContent = `The run is complete; ${updates}. The encoder is yours to keep.`;
  if (finalModel && modelHash) {
    const file = encoderFile(finalModel, modelHash, plan);
    offerDownload(file, `${plan.task}-${modelHash.slice(0, 8)}.safetensors`);
  }
}

async function takePart(participation: Participation): Promise<void> {
  const { announced, policy, data, sample, certificate } = participation;
  const { info, plan, pinned } = announced;
  if (!data || participation.leave) return;
  const leave = new AbortController();
  participation.leave = leave;
  sessionStorage.setItem(RESUME, sample ? 'sample' : 'images');
  showProblem(undefined);
  show(byId('download'), false);
  refresh(participation);
  leaveButton.focus();
  const view = showProgress(plan);
  try {
    const result = await joinInBrowser({
      data,
      task: info.task,
      // without a link that pins it, the person agreed to the key that was shown
      fingerprint: pinned ?? info.fingerprint,
      certificate,
      policy,
      wasmPath: new URL(__WASM_FOLDER__, document.baseURI).href,
      dataUrl: DATA_URL,
      retries: 20,
      signal: leave.signal,
      onEvent: (event, traffic) => view.take(event, traffic),
    });
    participation.finished = result.ended === 'finished';
    conclude(plan, result);
  } catch (thrown) {
    const error = asTacitError(thrown);
    byId('status').textContent = 'You are no longer taking part.';
    showProblem(error);
  } finally {
    sessionStorage.removeItem(RESUME);
    participation.leave = undefined;
    refresh(participation);
  }
}

async function main(): Promise<void> {
  const announced = await askCoordinator();
  const { plan, info } = announced;
  showFederation(announced);
  showSharing(plan);
  const policy: LocalPolicy = { ...DEFAULT_POLICY, planHashes: [info.planHash] };
  const obstacle = obstacleTo(announced, policy);
  if (obstacle !== undefined) {
    byId('problem').textContent = obstacle;
    show(byId('problem'), true);
    for (const id of ['images', 'sharing', 'taking-part']) show(byId(id), false);
    return;
  }
  const images = wireImages({
    plan,
    onChange: (data) => {
      participation.data = data;
      refresh(participation);
    },
    onSample: (chosen) => {
      participation.sample = chosen;
    },
  });
  const participation: Participation = {
    announced,
    policy,
    images,
    data: undefined,
    sample: false,
    certified: undefined,
    certificate: undefined,
    leave: undefined,
    finished: false,
  };
  joinButton.addEventListener('click', () => void takePart(participation));
  leaveButton.addEventListener('click', () => {
    participation.leave?.abort();
    refresh(participation);
  });
  addEventListener('beforeunload', (event) => {
    if (participation.leave) event.preventDefault();
  });
  refresh(participation);
  if (needsCertificate(plan)) {
    participation.certified = await wireCertificate(plan, (certificate) => {
      participation.certificate = certificate;
      refresh(participation);
    });
  }
  await comeBack(participation);
}

/** After a reload in the middle of taking part: the key and the notebook are still here, the images have to be chosen again. */
async function comeBack(participation: Participation): Promise<void> {
  const before = sessionStorage.getItem(RESUME);
  if (before === null) return;
  sessionStorage.removeItem(RESUME);
  byId('status').textContent =
    before === 'sample'
      ? 'You were taking part when this page was reloaded. Press Join to go on as the same participant.'
      : 'You were taking part when this page was reloaded. Choose your images again and press Join to go on as the same participant.';
  if (before === 'sample') await participation.images.chooseSample();
}

main().catch((thrown) => showProblem(asTacitError(thrown)));
