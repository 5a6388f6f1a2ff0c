/**
 * The normal distribution to full double precision, in its tails too: privacy accounting lives where probabilities are 1e-15.
 * erfc by its Taylor series below 2 and by Laplace's continued fraction (Lentz's evaluation) above.
 */

const ROOT_PI = Math.sqrt(Math.PI);

/** 2/√π · Σ (−1)ᵏ x^(2k+1) / (k! (2k+1)), for |x| < 2. */
function erfSeries(x: number): number {
  let power = x;
  let sum = x;
  for (let k = 1; k < 80; k++) {
    power *= (-x * x) / k;
    const term = power / (2 * k + 1);
    sum += term;
    if (Math.abs(term) < 1e-17 * Math.abs(sum)) break;
  }
  return (2 / ROOT_PI) * sum;
}

/** e^(x²)·erfc(x) for x ≥ 2: 1/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …)))). */
function scaledErfc(x: number): number {
  let fraction = x;
  let c = x;
  let d = 0;
  for (let k = 1; k < 300; k++) {
    const a = k / 2;
    d = 1 / (x + a * d);
    c = x + a / c;
    const change = c * d;
    fraction *= change;
    if (Math.abs(change - 1) < 1e-16) break;
  }
  return 1 / (fraction * ROOT_PI);
}

/** 2/√π · ∫ₓ^∞ e^(−t²) dt. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x > 27.3) return 0; // below the smallest double
  return x < 2 ? 1 - erfSeries(x) : Math.exp(-x * x) * scaledErfc(x);
}

/** ln erfc(x), finite where erfc itself is below the smallest double. */
export function logErfc(x: number): number {
  return x < 2 ? Math.log(erfc(x)) : Math.log(scaledErfc(x)) - x * x;
}

/** P(N(0,1) > x). */
export const upperTail = (x: number): number => 0.5 * erfc(x * Math.SQRT1_2);

/** Gauss–Legendre with three points: exact to 1e-14 for an interval of up to 0.01 within ±12. */
function quadrature(a: number, b: number): number {
  const middle = (a + b) / 2;
  const offset = ((b - a) / 2) * Math.sqrt(0.6);
  const density = (x: number): number => Math.exp(-0.5 * x * x);
  const mean = (5 * density(middle - offset) + 8 * density(middle) + 5 * density(middle + offset)) / 18;
  return ((b - a) * mean) / Math.sqrt(2 * Math.PI);
}

/** P(a < N(0,1) ≤ b), without the cancellation of 1 − 1 in the upper tail. */
export function interval(a: number, b: number): number {
  if (b - a < 0.01) return quadrature(a, b);
  if (a >= 0) return upperTail(a) - upperTail(b);
  if (b <= 0) return upperTail(-b) - upperTail(-a);
  return 1 - upperTail(-a) - upperTail(b);
}

/** An x with P(N(0,1) > x) ≤ p, for p < ½: at most 1e-6 above the smallest. */
export function upperQuantile(p: number): number {
  let low = 0;
  let high = 40;
  while (high - low > 1e-6) {
    const middle = (low + high) / 2;
    if (upperTail(middle) > p) low = middle;
    else high = middle;
  }
  return high;
}
