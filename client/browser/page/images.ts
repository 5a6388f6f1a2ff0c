/** The second section: a person's images, chosen, looked through and shown as the encoder will see them. */
import { checkSourceInBrowser, openSourceInBrowser } from '../../../learning/data/browser.ts';
import type { DataReport } from '../../../learning/data/inspect.ts';
import type { BundledName, SourceSpec } from '../../../learning/data/source.ts';
import { asTacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { permutation, stream } from '../../../protocol/random.ts';
import { sizeRule } from '../../plan-in-words.ts';
import { byId, element, show } from './dom.ts';
import { thumbnail } from './thumbnail.ts';

/** Where the coordinator serves the bundled data. */
export const DATA_URL = new URL('./data/', document.baseURI).pathname;

const SAMPLES: readonly { readonly name: BundledName; readonly shape: string }[] = [
  { name: 'digits', shape: '8,8,1' },
  { name: 'fashion-mnist', shape: '28,28,1' },
];
/** Images of the built-in sample that one browser takes. */
const SAMPLE_SIZE = 256;
/** Images that are looked through before joining. */
const LOOKED_AT = 2000;
const THUMBNAILS = 30;

/** The built-in sample that fits the plan, if there is one. */
const sampleFor = (plan: Plan): BundledName | undefined =>
  SAMPLES.find(({ shape }) => shape === plan.data.shape.join())?.name;

export interface ImagesOptions {
  readonly plan: Plan;
  /** The data that may be joined with; undefined while there are none. */
  readonly onChange: (data: SourceSpec | undefined) => void;
  readonly onSample: (chosen: boolean) => void;
}

export interface Images {
  /** While taking part nothing else can be chosen. */
  lock(locked: boolean): void;
  chooseSample(): Promise<void>;
}

/** Wires the choice of images. */
export function wireImages({ plan, onChange, onSample }: ImagesOptions): Images {
  const files = byId<HTMLInputElement>('files');
  const folder = byId<HTMLInputElement>('folder');
  const drop = byId('drop');
  const buttons = ['choose-files', 'choose-folder', 'choose-sample'].map((id) => byId<HTMLButtonElement>(id));
  const [chooseFiles, chooseFolder, chooseSample] = buttons as [
    HTMLButtonElement,
    HTMLButtonElement,
    HTMLButtonElement,
  ];
  const sample = sampleFor(plan);
  let locked = false;
  let looking: AbortController | undefined;

  const pressed = (button: HTMLButtonElement): void => {
    for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
  };
  const choose = async (button: HTMLButtonElement, make: () => Promise<SourceSpec> | SourceSpec): Promise<void> => {
    if (locked) return;
    looking?.abort();
    const mine = new AbortController();
    looking = mine;
    onChange(undefined);
    onSample(button === chooseSample);
    pressed(button);
    try {
      const spec = await make();
      const fits = await look(spec, plan, mine.signal);
      if (!mine.signal.aborted && fits) onChange(spec);
    } catch (thrown) {
      if (!mine.signal.aborted) showVerdict(false, asTacitError(thrown).message);
    }
  };
  const chooseFrom = (button: HTMLButtonElement, list: FileList | null | undefined): void => {
    const picked = [...(list ?? [])];
    if (picked.length > 0) void choose(button, () => ({ kind: 'files', files: picked }));
  };

  chooseFiles.addEventListener('click', () => files.click());
  chooseFolder.addEventListener('click', () => folder.click());
  chooseSample.addEventListener('click', () => void choose(chooseSample, () => sampleSpec(sample!, plan)));
  files.addEventListener('change', () => chooseFrom(chooseFiles, files.files));
  folder.addEventListener('change', () => chooseFrom(chooseFolder, folder.files));
  for (const type of ['dragenter', 'dragover'] as const) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', !locked);
    });
  }
  for (const type of ['dragleave', 'drop'] as const) drop.addEventListener(type, () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    chooseFrom(chooseFiles, event.dataTransfer?.files);
  });
  show(chooseSample, sample !== undefined);
  byId('check').replaceChildren(element('p', sizeRule(plan), 'hint'));

  return {
    lock(next) {
      locked = next;
      for (const button of buttons) button.disabled = next;
    },
    chooseSample: async () => {
      if (sample) await choose(chooseSample, () => sampleSpec(sample, plan));
    },
  };
}

/** A share of the sample of this browser's own, so that two browsers do not learn from the same images. */
async function sampleSpec(name: BundledName, plan: Plan): Promise<SourceSpec> {
  const whole = { kind: 'bundled', name, split: 'train' } as const;
  const { length } = await openSourceInBrowser(whole, plan.data, { dataUrl: DATA_URL });
  const size = Math.min(length, Math.max(SAMPLE_SIZE, plan.data.minExamples));
  const order = permutation(stream(crypto.getRandomValues(new Uint32Array(1))[0]!, 'sample'), length);
  return { ...whole, indices: order.slice(0, size).sort() };
}

function showVerdict(good: boolean, ...lines: readonly string[]): void {
  const paragraphs = lines.map((line, i) => element('p', line, i === 0 ? `verdict ${good ? 'good' : 'bad'}` : 'hint'));
  byId('check').replaceChildren(...paragraphs);
}

/** Looks through the images and says what was found. @returns whether they fit the plan */
async function look(spec: SourceSpec, plan: Plan, signal: AbortSignal): Promise<boolean> {
  const gallery = byId('thumbnails');
  show(gallery, false);
  const progress = element('p', 'Looking through the images …', 'hint');
  byId('check').replaceChildren(progress);
  const report = await checkSourceInBrowser(spec, plan.data, {
    limit: LOOKED_AT,
    dataUrl: DATA_URL,
    signal,
    onProgress: ({ done, total }) => {
      if (done % 100 === 0) progress.textContent = `Looking through the images: ${done} of ${total} …`;
    },
  });
  if (signal.aborted) return false;
  const fits = report.verdict === 'fits';
  if (fits) showVerdict(true, ...wordsOf(report));
  else showVerdict(false, report.problems.map(({ message }) => message).join('\n'), sizeRule(plan));
  if (report.examples > report.unreadable.count && report.fit.refused < report.inspected) {
    await fillGallery(gallery, spec, plan, report.examples).catch(() => {});
  }
  return fits;
}

/** What was found, for data that fit. */
export function wordsOf({ examples, inspected, fit, skipped, notes }: DataReport): string[] {
  const n = (count: number): string => count.toLocaleString('en');
  const looked = inspected < examples ? ` (${n(inspected)} of them looked at)` : '';
  const lines = [`${n(examples)} images${looked}, ready.`];
  if (fit.resized > 0) lines.push(`${n(fit.resized)} of another size will be resized.`);
  if (fit.recoloured > 0) lines.push(`${n(fit.recoloured)} will be turned into the plan’s colours.`);
  if (skipped.count > 0) lines.push(`${n(skipped.count)} files that are neither PNG nor JPEG are left out.`);
  return [...lines, ...notes];
}

async function fillGallery(gallery: HTMLElement, spec: SourceSpec, plan: Plan, examples: number): Promise<void> {
  const source = await openSourceInBrowser(spec, plan.data, { dataUrl: DATA_URL });
  const count = Math.min(THUMBNAILS, examples);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * examples) / count));
  const { image } = await source.read(indices);
  const items = indices.map((_, i) => {
    const item = document.createElement('li');
    item.append(thumbnail(image, i));
    return item;
  });
  gallery.replaceChildren(...items);
  show(gallery, true);
}
