/** The loss of one training step from its inputs, in double precision: views, encoder, projector and loss as naive loops. */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays, NDArray } from '../../protocol/tensors.ts';
import { toImages } from './arrays.ts';
import { ntXent, spectral } from './losses.ts';
import { conv, denseStack, type Image, type Matrix, mean, mlp, type NamedWeights } from './network.ts';

const within = <T>(prefix: string, entries: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(entries).flatMap(([name, v]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), v]] : [])),
  );

const mapPixels = (image: Image, f: (pixel: number[], y: number, x: number) => number[]): Image =>
  image.map((row, y) => row.map((pixel, x) => f(pixel, y, x)));

/** One view of each image under the draws of rotation, colour and erasing, one channel. */
function views(images: readonly Image[], draws: NamedArrays): Image[] {
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

/** @param inputs those of the gradient program, parameters excepted */
export function stepLoss(plan: Plan, inputs: NamedArrays, params: NamedWeights): number {
  const { mean: centre, std } = plan.data.normalisation;
  const project = (view: 'draws/view0/' | 'draws/view1/'): Matrix => {
    const seen = views(toImages(inputs['batch/images']!), within(view, inputs)).map((image) =>
      mapPixels(image, (pixel) => pixel.map((v) => (v - centre[0]!) / std[0]!)),
    );
    const encoder = within('encoder/', params);
    const embedded = plan.encoder.name === 'mlp' ? mlp(seen, encoder) : conv(seen, encoder, plan.encoder as never);
    return denseStack(embedded, within('projector/', params));
  };
  const [first, second] = [project('draws/view0/'), project('draws/view1/')];
  return plan.pretext.name === 'spectral'
    ? spectral(first, second, plan.pretext.mu as number)
    : ntXent(first, second, plan.pretext.temperature as number);
}
