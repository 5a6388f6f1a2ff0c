/**
 * Convolutions of images with channels last, without gathered columns: the numbers that a window sees in one row of the image lie
 * next to one another, so a window is a few runs, and six neighbouring windows are six rows of a product with the packed filter.
 */
import { type Code, call, type FunctionBuilder, fillMemory, get, i32, type Local, set } from './assembler.ts';
import { type Convolution, convolutionOf, type Frame, frameOf, type Phase } from './convolution-phases.ts';
import { framedImage } from './framed-image.ts';
import { advance, repeat, share } from './loops.ts';
import { PANEL, PANEL_BYTES, tilesOf } from './micro-kernel.ts';
import type { Kernel, Workshop } from './module.ts';
import type { Operation } from './operations.ts';
import { packPanel, panelsOf } from './panels.ts';
import type { View } from './views.ts';

/** Bytes of one packed panel of a phase's filter. */
const panelBytes = ({ channels }: Convolution, { taps }: Phase): number => taps[0] * taps[1] * channels * PANEL_BYTES;

const isEmpty = ({ taps, size }: Phase): boolean => taps[0] * taps[1] * size[0] * size[1] === 0;

const needsFrame = (conv: Convolution, frame: Frame): boolean =>
  frame.size[0] !== conv.height || frame.size[1] !== conv.width;

interface Scratch {
  /** Bytes of all packed filters, one phase after another. */
  readonly filters: number;
  /** Bytes of each thread's framed image. */
  readonly image: number;
}

export function convolutionScratch(operation: Operation): Scratch {
  const conv = convolutionOf(operation);
  const frame = frameOf(conv);
  const filters = conv.phases.map((phase) => panelBytes(conv, phase) * panelsOf(conv.outChannels));
  return {
    filters: filters.reduce((sum, bytes) => sum + bytes, 0),
    image: needsFrame(conv, frame) ? framedImage(conv.height, conv.width, conv.channels, frame).bytes : 0,
  };
}

/** Packs the filters of all phases. */
export function packFilters(shop: Workshop, operation: Operation): Kernel {
  const conv = convolutionOf(operation);
  const [, filter] = operation.inputs as [View, View];
  const strides = filter.strides.map((stride) => stride * 4) as [number, number, number, number];
  const code = (f: FunctionBuilder): Code => {
    const [from, to] = [f.local('i32'), f.local('i32')];
    const start = shop.address(filter.root) + filter.offset * 4;
    const phases = conv.phases
      .filter((phase) => !isEmpty(phase))
      .map(({ taps, firstTap, tapStep }) => {
        const source = {
          local: from,
          column: strides[conv.kept],
          sizes: [taps[0], taps[1], conv.channels],
          steps: [tapStep[0] * strides[2], tapStep[1] * strides[3], strides[conv.summed]],
        };
        const first = start + firstTap[0] * strides[2] + firstTap[1] * strides[3];
        const full = Math.floor(conv.outChannels / PANEL);
        const rest = conv.outChannels % PANEL;
        return [
          set(from, i32.const(first)),
          repeat(f, full, [packPanel(f, source, PANEL, to), advance(from, PANEL * strides[conv.kept])]),
          rest === 0 ? [] : packPanel(f, source, rest, to),
        ];
      });
    return [set(to, i32.const(shop.scratch(operation))), phases];
  };
  return { shared: false, code };
}

interface Addresses {
  /** The image, framed or as it is. */
  readonly image: Local;
  /** The result for this image. */
  readonly out: Local;
  readonly filter: Local;
}

/** One phase of one image: panel by panel, row by row. */
function windows(
  f: FunctionBuilder,
  shop: Workshop,
  conv: Convolution,
  frame: Frame,
  phase: Phase,
  p: Addresses,
): Code {
  const { channels, outChannels, outWidth } = conv;
  const { taps, stride, size, into, intoStep, origin } = phase;
  const pixel = channels * 4;
  const line = frame.size[1] * pixel;
  const outPixel = outChannels * 4;
  const [a, c, rowA, rowC] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const first = (origin[0] + frame.before[0]) * line + (origin[1] + frame.before[1]) * pixel;
  const firstOut = (into[0] * outWidth + into[1]) * outPixel;
  const panel = (columns: number): Code => {
    const tiles = tilesOf(size[1]).map(({ size: rows, count }) => {
      const kernel = shop.kernel({
        ...{ rows, columns, length: taps[1] * channels, runs: taps[0] },
        ...{ row: stride[1] * pixel, step: 4, jump: line - taps[1] * pixel },
        ...{ into: intoStep[1] * outPixel, adds: false },
      });
      const moved = [advance(a, rows * stride[1] * pixel), advance(c, rows * intoStep[1] * outPixel)];
      return repeat(f, count, [call(kernel, get(a), get(p.filter), get(c)), moved]);
    });
    const row = [
      ...[set(a, get(rowA)), set(c, get(rowC))],
      tiles,
      ...[advance(rowA, stride[0] * line), advance(rowC, intoStep[0] * outWidth * outPixel)],
    ];
    return [
      set(rowA, i32.add(get(p.image), i32.const(first))),
      set(rowC, i32.add(get(p.out), i32.const(firstOut))),
      repeat(f, size[0], row),
      advance(p.filter, panelBytes(conv, phase)),
      advance(p.out, PANEL_BYTES),
    ];
  };
  const full = Math.floor(outChannels / PANEL);
  const rest = outChannels % PANEL;
  const panels = panelsOf(outChannels);
  return [repeat(f, full, panel(PANEL)), rest === 0 ? [] : panel(rest), advance(p.out, -panels * PANEL_BYTES)];
}

/** Each thread's images, once the filters are packed. */
export function convolution(shop: Workshop, operation: Operation): Kernel {
  const conv = convolutionOf(operation);
  const frame = frameOf(conv);
  const framed = needsFrame(conv, frame) ? framedImage(conv.height, conv.width, conv.channels, frame) : undefined;
  const [x] = operation.inputs as [View, View];
  const { filters } = convolutionScratch(operation);
  const imageBytes = conv.height * conv.width * conv.channels * 4;
  const outBytes = conv.outHeight * conv.outWidth * conv.outChannels * 4;
  const code = (f: FunctionBuilder, thread: Local): Code => {
    const [from, at, out, filter] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    const p: Addresses = { image: framed ? at : from, out, filter };
    const part = share(f, thread, shop.threads, conv.images);
    const nth = (base: number, bytes: number): Code => i32.add(i32.const(base), i32.mul(part.start, i32.const(bytes)));
    const phases = conv.phases.filter((phase) => !isEmpty(phase));
    const image = [
      framed ? framed.load(f, from, at) : [],
      phases.length < conv.phases.length ? fillMemory(get(out), i32.const(0), i32.const(outBytes)) : [],
      set(filter, i32.const(shop.scratch(operation))),
      phases.map((phase) => windows(f, shop, conv, frame, phase, p)),
      ...[advance(from, imageBytes), advance(out, outBytes)],
    ];
    return [
      part.code,
      set(from, nth(shop.address(x.root) + x.offset * 4, imageBytes)),
      set(out, nth(shop.address(operation.into.root), outBytes)),
      framed
        ? [set(at, shop.threadScratch(shop.scratch(operation) + filters, thread, framed.bytes)), framed.clear(at)]
        : [],
      repeat(f, shop.threads === 1 ? conv.images : part.count, image),
    ];
  };
  return { shared: shop.threads > 1, code };
}
