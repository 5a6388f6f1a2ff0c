/**
 * Masks: keystreams of AES-256-CTR over zeros, as little-endian words, added to a vector in the ring Z/2³² (SPEC.md §13.5). Here is
 * the adding, which a plain loop would make slower than the cipher: a wasm module of three functions adds 64 bytes of two masks a turn.
 * A vector is worked on in pieces that stay in the processor's cache; no mask is ever held as a whole.
 */

/** The keystream of a key, from counter 0 on, to be added (1) or taken away (−1). */
export interface Mask {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly sign: 1 | -1;
}

/** Words of a piece: 64 KiB. */
export const PIECE_WORDS = 16_384;
const PIECE_BYTES = 4 * PIECE_WORDS;
const WORDS_PER_BLOCK = 4;

/** The counter block, big-endian, at a word of the stream. @throws RangeError unless the word begins a block of 16 bytes */
export function counterAt(word: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(word) || word < 0 || word % WORDS_PER_BLOCK !== 0) throw new RangeError(`word ${word}`);
  const counter = new Uint8Array(16);
  new DataView(counter.buffer).setBigUint64(8, BigInt(word / WORDS_PER_BLOCK));
  return counter;
}

/** A piece of a vector, to which masks are applied one after the other. Used synchronously: one for all. */
export interface RingAdder {
  load(words: Int32Array): void;
  /** Adds or takes away as many bytes of keystream as words were loaded, at the latest when they are stored. */
  apply(keystream: Uint8Array, sign: 1 | -1): void;
  store(words: Int32Array): void;
  /** Erases what was worked on. */
  clear(): void;
}

/** The adder of platforms without wasm SIMD. */
export function plainAdder(): RingAdder {
  const piece = new Int32Array(PIECE_WORDS);
  const mask = new Int32Array(PIECE_WORDS);
  const bytes = new Uint8Array(mask.buffer);
  return {
    load: (words) => piece.set(words),
    apply: (keystream, sign) => {
      bytes.set(keystream);
      const count = keystream.length >> 2;
      if (sign === 1) for (let i = 0; i < count; i++) piece[i] = (piece[i]! + mask[i]!) | 0;
      else for (let i = 0; i < count; i++) piece[i] = (piece[i]! - mask[i]!) | 0;
    },
    store: (words) => words.set(piece.subarray(0, words.length)),
    clear: () => {
      piece.fill(0);
      mask.fill(0);
    },
  };
}

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...leb(value >>> 7)];
}

const section = (id: number, ...content: number[]): number[] => [id, ...leb(content.length), ...content];
const I32X4_ADD = [0xfd, 0xae, 0x01];
const I32X4_SUB = [0xfd, 0xb1, 0x01];
const get = (local: number): number[] => [0x20, local];

/**
 * Body of (dst, x, y, end): do { dst[0…63] op₁= x[0…63]; dst[0…63] op₂= y[0…63]; all of them += 64 } while (x < end), as bytes of wasm.
 * Two masks a turn, so that the piece is read and written half as often.
 */
function loopOf(first: readonly number[], second: readonly number[]): number[] {
  const load = (local: number, offset: number): number[] => [...get(local), 0xfd, 0x00, 4, ...leb(offset)]; // v128.load
  const lane = (offset: number): number[] => [
    ...get(0),
    ...[...load(0, offset), ...load(1, offset), ...first, ...load(2, offset), ...second],
    ...[0xfd, 0x0b, 4, ...leb(offset)], // v128.store dst
  ];
  const advanced = (local: number): number[] => [...get(local), 0x41, 0xc0, 0x00, 0x6a]; // local + 64
  const moved = [0, 2].flatMap((local) => [...advanced(local), 0x21, local]);
  const again = [...advanced(1), 0x22, 1, ...get(3), 0x49, 0x0d, 0]; // br_if (x := x + 64) < end
  const loop = [0x03, 0x40, ...[0, 16, 32, 48].flatMap(lane), ...moved, ...again, 0x0b];
  const body = [0, ...loop, 0x0b]; // no locals of its own
  return [...leb(body.length), ...body];
}

/** The module: three functions of four i32, `a`, `b` and `c`, and a memory `m` of five pages: the piece, two masks, zeros, and room. */
const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, 1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0),
  ...section(3, 3, 0, 0, 0),
  ...section(5, 1, 0, 5),
  ...section(7, 4, 1, 0x61, 0, 0, 1, 0x62, 0, 1, 1, 0x63, 0, 2, 1, 0x6d, 2, 0),
  ...section(10, 3, ...loopOf(I32X4_ADD, I32X4_ADD), ...loopOf(I32X4_ADD, I32X4_SUB), ...loopOf(I32X4_SUB, I32X4_SUB)),
]);

type RingLoop = (dst: number, x: number, y: number, end: number) => void;

interface RingModule {
  /** dst + x + y, dst + x − y, dst − x − y. */
  readonly a: RingLoop;
  readonly b: RingLoop;
  readonly c: RingLoop;
  readonly m: WebAssembly.Memory;
}

/** The adder by wasm SIMD. @throws WebAssembly.CompileError where there is none */
export function wasmAdder(): RingAdder {
  const { a, b, c, m } = new WebAssembly.Instance(new WebAssembly.Module(MODULE)).exports as unknown as RingModule;
  const piece = new Int32Array(m.buffer, 0, PIECE_WORDS);
  const [first, second, zeros] = [PIECE_BYTES, 2 * PIECE_BYTES, 3 * PIECE_BYTES];
  const masks = new Uint8Array(m.buffer, first, 2 * PIECE_BYTES);
  /** The mask that waits for another, at `first`. */
  let waiting: { readonly sign: 1 | -1; readonly length: number } | undefined;
  // up to 63 bytes too many are added, within the memory and never stored
  const add = (sign: 1 | -1, other: number, otherSign: 1 | -1, length: number): void => {
    if (sign === otherSign) (sign === 1 ? a : c)(0, first, other, first + length);
    else if (sign === 1) b(0, first, other, first + length);
    else b(0, other, first, other + length);
  };
  return {
    load: (words) => {
      waiting = undefined;
      piece.set(words);
    },
    apply: (keystream, sign) => {
      const { length } = keystream;
      if (waiting) {
        masks.set(keystream, PIECE_BYTES);
        add(waiting.sign, second, sign, length);
        waiting = undefined;
      } else {
        masks.set(keystream);
        waiting = { sign, length };
      }
    },
    store: (words) => {
      if (waiting) add(waiting.sign, zeros, waiting.sign, waiting.length);
      waiting = undefined;
      words.set(piece.subarray(0, words.length));
    },
    clear: () => {
      waiting = undefined;
      new Uint8Array(m.buffer, 0, zeros).fill(0);
    },
  };
}

let chosen: RingAdder | undefined;

/** The best adder there is. A page whose policy forbids wasm has the plain one. */
export function ringAdder(): RingAdder {
  try {
    chosen ??= wasmAdder();
  } catch {
    chosen = plainAdder();
  }
  return chosen;
}
