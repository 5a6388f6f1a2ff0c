/**
 * The gradient of a convolution's filter: for each row of the filter, a product of what its taps see, summed over all positions,
 * with the gradient of the output. Threads take output channels, so that no two add to the same number.
 */
import { type Code, call, type FunctionBuilder, fillMemory, get, i32, type Local, set, when } from './assembler.ts';
import { type Frame, geometryOf } from './convolution-phases.ts';
import { framedImage } from './framed-image.ts';
import { advance, repeat, share } from './loops.ts';
import { PANEL, PANEL_BYTES, tilesOf } from './micro-kernel.ts';
import type { Kernel, Workshop } from './module.ts';
import type { Operation } from './operations.ts';
import { packPanel } from './panels.ts';
import type { View } from './views.ts';

/** Positions whose gradients stay in the fastest cache while all taps meet them. */
const POSITIONS = 160;

interface Shapes {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
  readonly outChannels: number;
  readonly taps: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly frame: Frame;
  /** Rows of positions that are taken at a time; they divide all rows. */
  readonly block: number;
}

function shapesOf(operation: Operation): Shapes {
  const [x, dy] = operation.inputs as [View, View];
  const [images, height, width, channels] = x.shape as [number, number, number, number];
  const [, rows, columns, outChannels] = dy.shape as [number, number, number, number];
  const taps = operation.into.shape.slice(0, 2) as unknown as readonly [number, number];
  const { strides, pads } = geometryOf(operation);
  const reach = (size: number, before: number, out: number, axis: 0 | 1): number =>
    Math.max(before + size, (out - 1) * strides[axis] + taps[axis]);
  const frame: Frame = {
    before: [pads[0], pads[1]],
    size: [reach(height, pads[0], rows, 0), reach(width, pads[1], columns, 1)],
  };
  const most = Math.max(1, Math.min(rows, Math.floor(POSITIONS / columns)));
  const block = Array.from({ length: most }, (_, i) => most - i).find((size) => rows % size === 0)!;
  return { images, height, width, channels, rows, columns, outChannels, taps, strides, frame, block };
}

const framedOf = ({ height, width, channels, frame }: Shapes) => framedImage(height, width, channels, frame);

/** Bytes that each thread needs: a framed image, and a panel of gradients. */
export function filterGradientScratch(operation: Operation): number {
  const shapes = shapesOf(operation);
  return framedOf(shapes).bytes + shapes.block * shapes.columns * PANEL_BYTES;
}

/** The gradient is added up in place, so it begins with zeros. */
export function clearGradient(shop: Workshop, { into }: Operation): Kernel {
  const bytes = into.shape.reduce((n, d) => n * d, 4);
  const code = (): Code => fillMemory(i32.const(shop.address(into.root)), i32.const(0), i32.const(bytes));
  return { shared: false, code };
}

interface Addresses {
  readonly image: Local;
  readonly packed: Local;
  /** The panel's first channel at the image's first position, and in the filter's gradient. */
  readonly dy: Local;
  readonly dw: Local;
}

/** One panel of channels over one image. */
function panelOf(f: FunctionBuilder, shop: Workshop, shapes: Shapes, width: number, p: Addresses): Code {
  const { channels, rows, columns, outChannels, taps, strides, frame, block } = shapes;
  const pixel = channels * 4;
  const line = frame.size[1] * pixel;
  const [a, c, row, from, to] = ['a', 'c', 'row', 'from', 'to'].map(() => f.local('i32')) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const source = { local: from, column: 4, sizes: [block * columns], steps: [outChannels * 4] };
  const seen = taps[1] * channels;
  const tiles = tilesOf(seen).map(({ size, count }) => {
    const kernel = shop.kernel({
      ...{ rows: size, columns: width, length: columns, runs: block, row: 4, step: strides[1] * pixel },
      ...{ jump: strides[0] * line - columns * strides[1] * pixel, into: outChannels * 4, adds: true },
    });
    const moved = [advance(a, size * 4), advance(c, size * outChannels * 4)];
    return repeat(f, count, [call(kernel, get(a), get(p.packed), get(c)), moved]);
  });
  const block1 = [
    set(to, get(p.packed)),
    packPanel(f, source, width, to),
    set(a, get(row)),
    set(c, get(p.dw)),
    repeat(f, taps[0], [tiles, advance(a, line - seen * 4)]),
    advance(row, block * strides[0] * line),
    advance(from, block * columns * outChannels * 4),
  ];
  return [set(row, get(p.image)), set(from, get(p.dy)), repeat(f, rows / block, block1)];
}

/** Each thread's panels, over all images. */
export function filterGradient(shop: Workshop, operation: Operation): Kernel {
  const shapes = shapesOf(operation);
  const { images, height, width, channels, rows, columns, outChannels } = shapes;
  const [x, dy] = operation.inputs as [View, View];
  const framed = framedOf(shapes);
  const each = filterGradientScratch(operation);
  const full = Math.floor(outChannels / PANEL);
  const rest = outChannels % PANEL;
  const code = (f: FunctionBuilder, thread: Local): Code => {
    const [from, picture, image, packed, atDy, atDw] = Array.from({ length: 6 }, () => f.local('i32')) as [
      ...[Local, Local, Local, Local, Local, Local],
    ];
    const p: Addresses = { image, packed, dy: atDy, dw: atDw };
    const part = share(f, thread, shop.threads, full);
    const first = (base: Code, by: Code): Code => i32.add(base, i32.mul(by, i32.const(PANEL_BYTES)));
    const begin = (panel: Code): Code => [
      set(atDy, first(get(picture), panel)),
      set(atDw, first(i32.const(shop.address(operation.into.root)), panel)),
    ];
    const one = [panelOf(f, shop, shapes, PANEL, p), advance(atDy, PANEL_BYTES), advance(atDw, PANEL_BYTES)];
    const isLast = i32.eq(get(thread), i32.const(shop.threads - 1));
    const each1 = [
      framed.load(f, from, image),
      begin(part.start),
      repeat(f, shop.threads === 1 ? full : part.count, one),
      rest === 0 ? [] : when(isLast, [begin(i32.const(full)), panelOf(f, shop, shapes, rest, p)]),
      advance(from, height * width * channels * 4),
      advance(picture, rows * columns * outChannels * 4),
    ];
    return [
      part.code,
      set(from, i32.const(shop.address(x.root) + x.offset * 4)),
      set(picture, i32.const(shop.address(dy.root) + dy.offset * 4)),
      set(image, shop.threadScratch(shop.scratch(operation), thread, each)),
      set(packed, i32.add(get(image), i32.const(framed.bytes))),
      framed.clear(image),
      repeat(f, images, each1),
    ];
  };
  return { shared: shop.threads > 1, code };
}
