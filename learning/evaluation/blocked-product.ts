/**
 * Products a·bᵀ of large matrices, block by block, so that both blocks stay near the processor while each of their rows meets each.
 * In WebAssembly where there is such and the product is worth the copying, in plain loops otherwise.
 */
import { hasSimd } from '../engine/wasm/support.ts';
import { layout, workspaceFor } from './matrix-kernel.ts';
import { multiplyTransposed } from './products.ts';

/** Rows of a block, and numbers of a row that are summed over at a time. */
const [ROWS, DEPTH] = [64, 512];
/** Products of fewer multiplications are done where their operands lie. */
const FEW = 1e6;

/** out[i, c] = Σ_j a[i, j] · b[c, j]. @param inner length of a row of `a` and of `b` */
export function blockedProduct(a: Float64Array, b: Float64Array, inner: number, out: Float64Array): void {
  if (worthwhile(a, b, inner)) inBlocks(a, b, inner, out, () => true);
  else multiplyTransposed(a, b, inner, out);
}

/** a·aᵀ, of which half is computed. */
export function squareProduct(a: Float64Array, inner: number): Float64Array {
  const rows = inner === 0 ? 0 : a.length / inner;
  const out = new Float64Array(rows * rows);
  if (!worthwhile(a, a, inner)) multiplyTransposed(a, a, inner, out);
  else {
    inBlocks(a, a, inner, out, (left, right) => right <= left);
    for (let i = 0; i < rows; i++) for (let j = 0; j < i; j++) out[j * rows + i] = out[i * rows + j]!;
  }
  return out;
}

const worthwhile = (a: Float64Array, b: Float64Array, inner: number): boolean =>
  inner > 0 && (a.length / inner) * b.length >= FEW && hasSimd();

/** A block of `source`: rows from `row` on, numbers from `from` on; short ones are padded with zeros. */
function blockOf(source: Float64Array, inner: number, row: number, from: number, into: Float64Array): number {
  const rows = Math.min(ROWS, source.length / inner - row);
  const depth = Math.min(DEPTH, inner - from);
  into.fill(0);
  for (let i = 0; i < rows; i++) {
    const at = (row + i) * inner + from;
    into.set(source.subarray(at, at + depth), i * DEPTH);
  }
  return rows;
}

/** @param wanted whether the block of the result that begins at these rows of a and b is asked for */
function inBlocks(
  a: Float64Array,
  b: Float64Array,
  inner: number,
  out: Float64Array,
  wanted: (left: number, right: number) => boolean,
): void {
  const plan = layout();
  const [left, right] = [plan.left(ROWS, DEPTH), plan.right(ROWS, DEPTH)];
  const result = plan.result(left, right);
  const space = workspaceFor(plan.bytes());
  space.owner = result;
  const [leftNumbers, rightNumbers] = [left, right].map(({ at }) => space.numbers.subarray(at, at + ROWS * DEPTH));
  const [rows, columns] = [a.length / inner, b.length / inner];
  out.fill(0);
  for (let from = 0; from < inner; from += DEPTH) {
    for (let c = 0; c < columns; c += ROWS) {
      const width = blockOf(b, inner, c, from, rightNumbers!);
      for (let r = 0; r < rows; r += ROWS) {
        if (!wanted(r, c)) continue;
        const height = blockOf(a, inner, r, from, leftNumbers!);
        space.product(left, right, result);
        for (let i = 0; i < height; i++) {
          const at = (r + i) * columns + c;
          const got = result.at + i * result.stride;
          for (let j = 0; j < width; j++) out[at + j]! += space.numbers[got + j]!;
        }
      }
    }
  }
}
