/** One image at a time with zeros around it, so that windows need not know where it ends. */
import { type Code, copyMemory, type FunctionBuilder, fillMemory, get, i32, type Local, set } from './assembler.ts';
import type { Frame } from './convolution-phases.ts';
import { advance, repeat } from './loops.ts';

export interface FramedImage {
  /** Bytes of its buffer. */
  readonly bytes: number;
  /** Once, before the first image. */
  clear(at: Local): Code;
  /** Copies the image that `from` points to into the frame at `at`. */
  load(f: FunctionBuilder, from: Local, at: Local): Code;
}

export function framedImage(height: number, width: number, channels: number, { before, size }: Frame): FramedImage {
  const [line, image] = [size[1] * channels * 4, width * channels * 4];
  const bytes = size[0] * line;
  const first = (before[0] * size[1] + before[1]) * channels * 4;
  return {
    bytes,
    clear: (at) => fillMemory(get(at), i32.const(0), i32.const(bytes)),
    load: (f, from, at) => {
      const to = f.local('i32');
      const lineOf = [copyMemory(get(to), get(from), i32.const(image)), advance(to, line), advance(from, image)];
      return [set(to, i32.add(get(at), i32.const(first))), repeat(f, height, lineOf), advance(from, -height * image)];
    },
  };
}
