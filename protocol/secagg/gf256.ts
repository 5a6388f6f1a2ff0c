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

/** The coefficients λᵢ with P(at) = Σ λᵢ·P(xᵢ) for every polynomial P of degree below the number of points. */
export function lagrangeBasis(points: readonly number[], at: number): Uint8Array {
  const exact = points.indexOf(at);
  if (exact >= 0) return Uint8Array.from(points, (_, i) => (i === exact ? 1 : 0));
  // λᵢ = Π over j ≠ i of (at − xⱼ)/(xᵢ − xⱼ), by logarithms; each difference of two points serves both of them
  const below = new Uint32Array(points.length);
  let above = 0;
  for (const [i, xi] of points.entries()) {
    above += LOG[at ^ xi]!;
    for (let j = 0; j < i; j++) {
      const log = LOG[xi ^ points[j]!]!;
      below[i]! += log;
      below[j]! += log;
    }
  }
  return Uint8Array.from(points, (xi, i) => EXP[(above - LOG[at ^ xi]! + 255 * points.length - below[i]!) % 255]!);
}

/** Σ λᵢ·rowᵢ, byte by byte over the first `length` bytes. */
export function combineRows(basis: Uint8Array, rows: readonly Uint8Array[], length: number): Uint8Array {
  const result = new Uint8Array(length);
  for (const [i, row] of rows.entries()) {
    const factor = basis[i]!;
    if (factor === 0) continue;
    const log = LOG[factor]!;
    for (let k = 0; k < length; k++) if (row[k]) result[k]! ^= EXP[log + LOG[row[k]!]!]!;
  }
  return result;
}
