/** Numbers outside any engine: what crosses a worker, a wire or a file. */

export type DType = 'float32' | 'int32';

/** A dense, row-major array with its shape; scalars have shape []. */
export interface NDArray {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: Float32Array | Int32Array;
}

/** Named arrays: parameters (`encoder/dense0/kernel`), state, batches. */
export type NamedArrays = Readonly<Record<string, NDArray>>;

/** Shape and type of one named tensor; a first dimension of −1 is a symbolic batch axis. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}
export type NamedSpecs = Readonly<Record<string, TensorSpec>>;

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

export const float32 = (shape: readonly number[], data?: Float32Array): NDArray => ({
  shape,
  dtype: 'float32',
  data: data ?? new Float32Array(sizeOf(shape)),
});

export const int32 = (shape: readonly number[], data?: Int32Array): NDArray => ({
  shape,
  dtype: 'int32',
  data: data ?? new Int32Array(sizeOf(shape)),
});

export const scalar = (value: number): NDArray => float32([], Float32Array.of(value));
