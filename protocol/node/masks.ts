/** Masks by node:crypto on this thread: a block of zeros is encrypted again and again, 64 KiB at a time, and each piece is added as it is made. */
import { type Cipher, createCipheriv } from 'node:crypto';
import { counterAt, type Mask, PIECE_WORDS, ringAdder } from '../crypto/masks.ts';

const ZEROS = new Uint8Array(4 * PIECE_WORDS);
/** Streams that are open at a time: each has its cipher. */
const OPEN_STREAMS = 64;
/** Pieces after which other work of the process has its turn: some 10 ms. */
const PIECES_PER_TURN = 256;

interface Stream {
  readonly cipher: Cipher;
  readonly sign: 1 | -1;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** words ← words + Σ sign · mask. @param firstWord where in the streams `words` begins, a multiple of 4 */
export async function applyMasksHere(words: Int32Array, masks: readonly Mask[], firstWord = 0): Promise<void> {
  const counter = counterAt(firstWord);
  const adder = ringAdder();
  let pieces = 0;
  for (let from = 0; from < masks.length; from += OPEN_STREAMS) {
    const streams: Stream[] = masks
      .slice(from, from + OPEN_STREAMS)
      .map(({ key, sign }) => ({ cipher: createCipheriv('aes-256-ctr', key, counter), sign }));
    for (let at = 0; at < words.length; at += PIECE_WORDS) {
      const piece = words.subarray(at, at + PIECE_WORDS);
      const zeros = ZEROS.subarray(0, 4 * piece.length);
      adder.load(piece);
      for (const { cipher, sign } of streams) adder.apply(cipher.update(zeros), sign);
      adder.store(piece);
      pieces += streams.length;
      if (pieces < PIECES_PER_TURN) continue;
      pieces = 0;
      await nextTurn();
    }
  }
  adder.clear();
}
