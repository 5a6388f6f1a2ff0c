/** The join page: shows what this is about, lets a person choose images, and takes part when told to. */
import './strict.ts';
import type { SourceSpec } from '../../../learning/data/source.ts';
import { asTacitError, type TacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { DEFAULT_POLICY, type LocalPolicy } from '../../policy.ts';
import { encoderFile, type JoinResult, joinInBrowser } from '../index.ts';
import { byId, show } from './dom.ts';
import { type Announced, askCoordinator, obstacleTo, showFederation, showSharing } from './federation.ts';
import { DATA_URL, type Images, wireImages } from './images.ts';
import { showProgress } from './progress.ts';

/** Folder of tfjs's WebAssembly files, relative to the page; put in by the build. */
declare const __WASM_FOLDER__: string;

/** What a reload of this tab remembers: that the person was taking part, and with the sample. */
const RESUME = 'tacit.taking-part';

const CODE_WORDS: Readonly<Record<string, string>> = {
  'auth/replaced': 'This browser has joined in another tab or window, so this one has stopped.',
  'auth/wrong-fingerprint': 'This is not the coordinator that your link names, so nothing was sent to it.',
  'auth/forked-transcript':
    'The coordinator contradicts the rounds that it has signed before, so this page no longer takes part.',
  'net/unreachable': 'The coordinator cannot be reached any more.',
  'net/closed': 'The connection to the coordinator was lost, and it does not come back.',
};

function showProblem(error: TacitError | undefined): void {
  const box = byId('problem');
  show(box, error !== undefined);
  if (!error) return;
  const words = CODE_WORDS[error.code] ?? error.message;
  box.textContent = [words, error.hint, `(${error.code})`].filter((line) => line !== undefined).join('\n');
  box.scrollIntoView({ block: 'nearest' });
}

function offerDownload(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const button = byId<HTMLButtonElement>('download');
  show(button, true);
  button.onclick = () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
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
  leave: AbortController | undefined;
  /** The run is over, so there is nothing to join any more. */
  finished: boolean;
}

const joinButton = byId<HTMLButtonElement>('join');
const leaveButton = byId<HTMLButtonElement>('leave');

/** Shows what can be done now. */
function refresh({ data, leave, images, finished }: Participation): void {
  const running = leave !== undefined;
  joinButton.disabled = data === undefined;
  show(joinButton, !running && !finished);
  show(leaveButton, running);
  leaveButton.disabled = leave?.signal.aborted ?? false;
  images.lock(running || finished);
  byId('join-hint').textContent = hintFor(running, finished, data !== undefined);
}

function hintFor(running: boolean, finished: boolean, ready: boolean): string {
  if (running) return 'Keep this page open; it may be in the background.';
  if (finished) return '';
  return ready ? 'Nothing is sent before you press Join.' : 'Choose images that fit first.';
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
  const { announced, policy, data, sample } = participation;
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
