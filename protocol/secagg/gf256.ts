/**
 * Lagrange interpolation over GF(2⁸) with x⁸ + x⁴ + x³ + x + 1, as shamir-secret-sharing has it, for recovering secrets: that library
 * computes the basis anew for each byte, which for hundreds of secrets takes longer than taking the masks off. Here the basis of a
 * set of points is computed once. Not constant time: the coordinator alone uses it, on shares that it was given to open.
 */

const LOG = new Uint8Array(256);
/** Twice the cycle, so that a sum of two logarithms needs no modulo. */
const EXP = new Uint8Array(510);

// 3 generates the multiplicative group; times 3 is times 2 plus itself.
for (let power = 0, x = 1; power < 255; power++) {
  EXP[power] = x;
  EXP[power + 255] = x;
  LOG[x] = power;
  x ^= (x << 1) ^ (x & 0x80 ? 0x11b : 0);
}

/** The Walsh–Hadamard transform of 256 numbers, in place: convolutions over ⊕ become products. */
function transform(values: Int32Array): Int32Array {
  for (let half = 1; half < 256; half *= 2) {
    for (let start = 0; start < 256; start += 2 * half) {
      for (let i = start; i < start + half; i++) {
        const [a, b] = [values[i]!, values[i + half]!];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
  return values;
}

const TRANSFORMED_LOG = transform(Int32Array.from(LOG));
/** Points from which on the transform is faster than every difference by itself. */
const MANY = 64;

/** Σ over j of LOG[xᵢ ⊕ xⱼ] for each point; LOG[0] is 0, so that j = i changes nothing. */
function differences(x: Uint8Array): Int32Array {
  const sums = new Int32Array(x.length);
  if (x.length < MANY) {
    for (let i = 0; i < x.length; i++) for (let j = 0; j < x.length; j++) sums[i]! += LOG[x[i]! ^ x[j]!]!;
    return sums;
  }
  const counts = new Int32Array(256);
  for (const xi of x) counts[xi]! += 1;
  transform(counts);
  // at most 256 · 255 · Σ LOG, which 32 bits just hold
  for (let i = 0; i < 256; i++) counts[i]! *= TRANSFORMED_LOG[i]!;
  transform(counts);
  for (let i = 0; i < x.length; i++) sums[i] = counts[x[i]!]! / 256;
  return sums;
}

/** The coefficients λᵢ with P(at) = Σ λᵢ·P(xᵢ) for every polynomial P of degree below the number of points. */
export function lagrangeBasis(points: readonly number[], at: number): Uint8Array {
  const exact = points.indexOf(at);
  if (exact >= 0) return Uint8Array.from(points, (_, i) => (i === exact ? 1 : 0));
  // λᵢ = Π over j ≠ i of (at − xⱼ)/(xᵢ − xⱼ), by logarithms
  const x = Uint8Array.from(points);
  const below = differences(x);
  let above = 0;
  for (const xi of x) above += LOG[at ^ xi]!;
  return x.map((xi, i) => EXP[(above - LOG[at ^ xi]! + 255 * x.length - below[i]!) % 255]!);
}

/** Σ λᵢ·rowᵢ, byte by byte over the first `length` bytes. */
export function combineRows(basis: Uint8Array, rows: readonly Uint8Array[], length: number): Uint8Array {
  const result = new Uint8Array(length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    const factor = basis[i]!;
    if (factor === 0) continue;
    const log = LOG[factor]!;
    for (let k = 0; k < length; k++) {
      const byte = row[k]!;
      result[k]! ^= byte === 0 ? 0 : EXP[log + LOG[byte]!]!;
    }
  }
  return result;
}
