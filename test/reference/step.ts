/** The loss of one training step from its inputs, in double precision: views, encoder, projector and loss as naive loops. */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays, NDArray } from '../../protocol/tensors.ts';
import { toImages, toMatrix } from './arrays.ts';
import * as losses from './losses.ts';
import {
  batchNorm,
  conv,
  denseStack,
  type Image,
  layerNorm,
  type Matrix,
  mean,
  mlp,
  type NamedWeights,
  resnet,
} from './network.ts';
import { patchesOf, vit } from './vit.ts';

const within = <T>(prefix: string, entries: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(entries).flatMap(([name, v]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), v]] : [])),
  );

const mapPixels = (image: Image, f: (pixel: number[], y: number, x: number) => number[]): Image =>
  image.map((row, y) => row.map((pixel, x) => f(pixel, y, x)));

/** One view of each image under the draws of rotation, colour and erasing, one channel. */
function augmented(images: readonly Image[], draws: NamedArrays): Image[] {
  const pixels = images.flat(2);
  const [height, width] = [images[0]!.length, images[0]![0]!.length];
  const { 'warp/index': index, 'warp/weight': weight } = draws as Record<string, NDArray>;
  const at = (b: number, y: number, x: number): number => (b * height + y) * width + x;
  return images.map((image, b) => {
    const warped = mapPixels(image, (_, y, x) => {
      let value = 0;
      for (let k = 0; k < 4; k++) {
        const entry = k * pixels.length + at(b, y, x);
        value += weight!.data[entry]! * pixels[index!.data[entry]!]![0]!;
      }
      return [value];
    });
    const centre = mean(warped.flat(2));
    const [scale, share] = [draws['colour/scale']!.data[b]!, draws['colour/share']!.data[b]!];
    return mapPixels(warped, ([v], y, x) => {
      const erased = draws['erase/rows']!.data[b * height + y]! * draws['erase/columns']!.data[b * width + x]!;
      return [Math.min(1, Math.max(0, v! * scale + centre * share)) * (1 - erased)];
    });
  });
}

interface Step {
  readonly plan: Plan;
  readonly inputs: NamedArrays;
  /** Images of each view. */
  readonly views: readonly Image[][];
  readonly params: NamedWeights;
  /** The same values, through which no gradient flows. */
  readonly still: NamedWeights;
}
type Options = Plan['pretext'] & Readonly<Record<'mu' | 'temperature', number>>;

function encode({ plan: { encoder } }: Step, images: readonly Image[], weights: NamedWeights): Matrix {
  if (encoder.name === 'mlp') return mlp(images, weights);
  return { conv, resnet, vit }[encoder.name as 'conv' | 'resnet' | 'vit'](images, weights, encoder as never);
}

/** Both views through an encoder and a head, each view by itself. */
function project(step: Step, all: NamedWeights, [encoder, head] = ['encoder', 'projector']): [Matrix, Matrix] {
  const [first, second] = step.views.map((images) =>
    denseStack(
      encode(step, images, within(`${encoder}/`, all)),
      within(`${head}/`, all),
      normalisation(step, 'projector'),
    ),
  );
  return [first!, second!];
}

const normalisation = ({ plan }: Step, head: string): typeof layerNorm =>
  (plan.pretext[head] as { normalisation: string }).normalisation === 'batch' ? batchNorm : layerNorm;

const predict = (step: Step, projections: [Matrix, Matrix]): [Matrix, Matrix] =>
  projections.map((rows) => denseStack(rows, within('predictor/', step.params), normalisation(step, 'predictor'))) as [
    Matrix,
    Matrix,
  ];

/** The image turned counter-clockwise by so many quarters. */
function turned(image: Image, quarters: number): Image {
  if (quarters === 0) return image;
  const n = image.length;
  return turned(
    image.map((row, y) => row.map((_, x) => image[x]![n - 1 - y]!)),
    quarters - 1,
  );
}

function maeOf(step: Step): number {
  const { plan, inputs, params } = step;
  const size = plan.pretext.patch as number;
  const images = step.views[0]!;
  const hidden = toMatrix({ ...inputs['draws/task/hidden']!, shape: inputs['draws/task/hidden']!.shape.slice(0, 2) });
  const columns = images[0]![0]!.length / size;
  const seen = images.map((image, b) =>
    mapPixels(image, (pixel, y, x) =>
      pixel.map((v) => v * (1 - hidden[b]![Math.floor(y / size) * columns + Math.floor(x / size)]!)),
    ),
  );
  const decoded = denseStack(encode(step, seen, within('encoder/', params)), within('decoder/', params));
  const patches = images.map((image) => patchesOf(image, size));
  const made = decoded.map((row, b) => {
    const { length } = patches[b]![0]!;
    return patches[b]!.map((_, p) => row.slice(p * length, (p + 1) * length));
  });
  return losses.mae(patches, made, hidden);
}

const TASKS: Readonly<Record<string, (step: Step, options: Options) => number>> = {
  spectral: (step, { mu }) => losses.spectral(...project(step, step.params), mu),
  simclr: (step, { temperature }) => losses.ntXent(...project(step, step.params), temperature),
  vicreg: (step, options) => losses.vicreg(...project(step, step.params), options as never),
  'barlow-twins': (step, options) => losses.barlow(...project(step, step.params), options as never),
  moco: (step, { temperature }) => {
    const keys = project(step, step.still, ['key-encoder', 'key-projector']);
    const { shape, data } = step.still['queue/keys']!;
    return losses.moco(project(step, step.params), keys, toMatrix({ shape, data }), temperature);
  },
  byol: (step) => {
    const targets = project(step, step.still, ['target-encoder', 'target-projector']);
    return 2 - 2 * losses.crossCosine(predict(step, project(step, step.params)), targets);
  },
  simsiam: (step) => -losses.crossCosine(predict(step, project(step, step.params)), project(step, step.still)),
  swav: (step, options) => {
    const of = (weights: NamedWeights): Matrix => toMatrix(weights['prototypes/directions']!);
    const prototypes = { moving: of(step.params), still: of(step.still) };
    return losses.swav(project(step, step.params), project(step, step.still), prototypes, options as never);
  },
  rotation: (step) => {
    const images = [0, 1, 2, 3].flatMap((quarters) => step.views[0]!.map((image) => turned(image, quarters)));
    return losses.rotation(
      denseStack(encode(step, images, within('encoder/', step.params)), within('classifier/', step.params)),
    );
  },
  mae: maeOf,
};

/**
 * @param inputs those of the gradient program, parameters excepted
 * @param still the parameters wherever no gradient flows, when `params` are moved to find a slope
 */
export function stepLoss(plan: Plan, inputs: NamedArrays, params: NamedWeights, still: NamedWeights = params): number {
  const { mean: centre, std } = plan.data.normalisation;
  const seen = (view: string): Image[] =>
    augmented(toImages(inputs['batch/images']!), within(view, inputs)).map((image) =>
      mapPixels(image, (pixel) => pixel.map((v) => (v - centre[0]!) / std[0]!)),
    );
  const names = ['draws/view0/', 'draws/view1/'].filter((view) => Object.keys(inputs).some((n) => n.startsWith(view)));
  return TASKS[plan.pretext.name]!({ plan, inputs, views: names.map(seen), params, still }, plan.pretext as Options);
}
