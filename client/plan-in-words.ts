/**
 * A plan said in plain words: what is learnt, what this computer will do, what leaves it and what does not. Used by the join
 * page; honest about what the privacy mode does not promise. Pure text, so that it can be tested.
 */
import { modelOf } from '../learning/model.ts';
import type { Plan } from '../protocol/plan.ts';
import { trustOf } from '../protocol/trust.ts';

/** One line of a description. */
export interface Fact {
  readonly term: string;
  readonly words: string;
}

/** What a person agrees to. */
export interface Sharing {
  readonly leaves: readonly string[];
  readonly stays: readonly string[];
  /** What the privacy mode does not promise. */
  readonly note: string;
}

const PRETEXT_WORDS: Readonly<Record<string, string>> = {
  spectral:
    'two random views of one image should end up close to each other, and different images apart (spectral contrastive loss)',
  simclr: 'two random views of one image should find each other among all others of a batch (SimCLR)',
  moco: 'a random view of an image should find another one among a queue of earlier images (MoCo)',
  vicreg:
    'two random views of one image should agree, in numbers that vary from image to image and do not repeat (VICReg)',
  'barlow-twins':
    'two random views of one image should give the same numbers, none of which repeats another (Barlow Twins)',
  byol: 'from one random view of an image, what a slower copy of the network sees in another is predicted (BYOL)',
  simsiam: 'from one random view of an image, what the network sees in another is predicted (SimSiam)',
  swav: 'two random views of one image should be sorted into the same group, with all groups equally large (SwAV)',
  rotation: 'each image is turned by quarters, and by how many is to be recognised (rotation)',
  mae: 'parts of each image are hidden, and what is there is to be guessed (masked autoencoding)',
};

const ENCODER_WORDS: Readonly<Record<string, string>> = {
  mlp: 'mlp (layers of fully connected units)',
  conv: 'conv (a convolutional network)',
  resnet: 'resnet (a residual network)',
  vit: 'vit (a vision transformer)',
};

const count = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

/** `1.2 MB`: decimal units, two significant digits above ten. */
export function inBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const shapeOf = ({ data }: Plan): string => {
  const [height, width, channels] = data.shape;
  return `${width} × ${height} ${channels === 1 ? 'grey' : 'colour'}`;
};

/** What to do with images of another size, as an instruction to a person. */
export const sizeRule = (plan: Plan): string => {
  const [height, width] = plan.data.shape;
  const size = `${width} × ${height} pixels`;
  if (plan.data.resize === 'error') return `Each image must have exactly ${size}.`;
  const how = plan.data.resize === 'cover' ? 'scaled and cropped' : 'scaled and padded';
  return `Images of any size are ${how} to ${size}.`;
};

/** Parameters that are sent in each round. */
export const parametersSent = (plan: Plan): number => modelOf(plan).reportShape.dimension;

/** The federation in one sentence. */
export const leadOf = (plan: Plan): string =>
  `Several computers train one encoder for ${shapeOf(plan)} images together, up to ${plan.rounds.maxCohort.toLocaleString('en')} in each round, ` +
  'each on images of its own. It needs no labels, and no image leaves the computer it is on.';

/** The plan, line by line. */
export function factsOf(plan: Plan): readonly Fact[] {
  const { rounds, training, encoder, pretext } = plan;
  const parameters = parametersSent(plan);
  const each = inBytes(parameters * 4);
  return [
    {
      term: 'Encoder',
      words: `${ENCODER_WORDS[encoder.name] ?? encoder.name}, ${count(parameters, 'parameter')} in training`,
    },
    { term: 'Pretext task', words: PRETEXT_WORDS[pretext.name] ?? pretext.name },
    {
      term: 'Rounds',
      words: `${rounds.count.toLocaleString('en')}, each with ${count(rounds.cohort, 'participant')} (committed with at least ${count(rounds.minReports, 'report')})`,
    },
    {
      term: 'Your computer',
      words: `${count(training.steps, 'training step')} in each round, on batches of ${count(training.batch, 'image')}`,
    },
    { term: 'Traffic', words: `about ${each} down and ${each} up in each round` },
    { term: 'Privacy mode', words: privacyWords(plan) },
  ];
}

function privacyWords({ privacy, admission }: Plan): string {
  const { mode } = privacy;
  switch (mode) {
    case 'secagg':
      return admission.certificates === 'required'
        ? 'secagg with certificates: masked, so that the coordinator can read sums over many participants only'
        : 'secagg, honest-but-curious coordinator: masked, so that a coordinator that keeps to the rules can read sums over many participants only';
    case 'secagg+dp':
      return (
        `secagg+dp: noised by each participant and masked, so that sums over many give away little of anyone: ` +
        `(ε, δ) of at most (${privacy.epsilon}, ${privacy.delta}) over the whole run`
      );
    case 'sealed':
      return 'sealed: encrypted to the coordinator, which can open each participant’s weight update';
    default:
      return mode satisfies never;
  }
}

/** What leaves this computer under `plan`, what stays, and what is not promised. */
export function sharingOf(plan: Plan): Sharing {
  const parameters = parametersSent(plan);
  const shared = modelOf(plan).reportShape.statistics;
  const weight =
    plan.privacy.weights === 'examples'
      ? `How many images you train on, up to ${plan.privacy.maxExamples.toLocaleString('en')}: it sets the weight of your update.`
      : 'Not even the number of your images: every update weighs the same.';
  const masked = plan.privacy.mode !== 'sealed';
  const noised = plan.privacy.mode === 'secagg+dp' ? 'hidden in random noise, then ' : '';
  const protection = masked
    ? `${noised}masked with random numbers that cancel only in the sum over all participants of the round.`
    : 'sealed so that only this coordinator can open it.';
  return {
    leaves: [
      `In each round that you take part in, your weight update: how training on your images changed the encoder, ${count(parameters, 'number')}, ` +
        `cut to a length of ${plan.privacy.clipNorm} and ${protection}`,
      ...(shared === undefined
        ? []
        : [
            `Before it, how the encoder’s outputs for your images vary together (a matrix of ${count(shared.length, 'number')}), ${protection}`,
          ]),
      ...(plan.privacy.weights === 'examples' ? [weight] : []),
      `The average training loss of the round${noised ? ', with noise and masked too' : masked ? ', masked too' : ''}.`,
      'A public key that stands for this browser and, as with every web page, your network address and when you are here.',
    ],
    stays: [
      'Your images: not one pixel, preview or thumbnail is sent.',
      'File names, folder names and labels.',
      'The private key of this browser, and the randomness of your training.',
      ...(plan.privacy.weights === 'uniform' ? [weight] : []),
    ],
    note: masked ? maskedNote(plan) : SEALED_NOTE,
  };
}

const SEALED_NOTE =
  'The coordinator can open each participant’s weight update. An update is not an image, but somebody determined may be able to ' +
  'infer something about the images it was computed from. Other participants see only the averaged encoder. ' +
  'Take part if you trust whoever runs this coordinator with that.';

function maskedNote(plan: Plan): string {
  const { could, couldNot } = trustOf(plan);
  const trust =
    plan.admission.certificates === 'required'
      ? 'Every participant’s key is certified by an operator, and your browser checks that.'
      : 'This holds for an honest-but-curious coordinator: nobody certifies the participants, so one that breaks its own rules ' +
        'could make some up, until a sum holds little but your update.';
  return (
    `The coordinator can see ${could.join('; ')}. It cannot see ${couldNot.join('; ')}. ${trust} ` +
    'What a sum itself shows is not hidden, and this page itself comes from the coordinator.'
  );
}
