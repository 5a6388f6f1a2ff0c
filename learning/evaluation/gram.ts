/** Inner products of features with one another. */
import { squareProduct } from './blocked-product.ts';
import type { Features } from './features.ts';
import { transpose } from './products.ts';

/** XᵀX or XXᵀ, whichever is smaller: symmetric, row-major. */
export function gram({ rows, columns, data }: Features): Float64Array {
  const x = data instanceof Float64Array ? data : new Float64Array(data);
  return columns <= rows ? squareProduct(transpose(x, rows, columns), rows) : squareProduct(x, columns);
}
