export type Dtype =
  | 'bool' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64'
  | 'float16' | 'bfloat16' | 'float32' | 'float64' | 'complex64' | 'complex128'

type AnyTypedArray =
  | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array
  | BigInt64Array | BigUint64Array | Float32Array | Float64Array

/**
 * The array that shows elements of a dtype. Half floats are shown as their bits (as `Float16Array`
 * in engines that have it), complex numbers as pairs.
 */
export type ArrayOf<D extends Dtype> =
  D extends 'bool' | 'uint8' ? Uint8Array
  : D extends 'int8' ? Int8Array
  : D extends 'int16' ? Int16Array
  : D extends 'uint16' | 'bfloat16' | 'float16' ? Uint16Array
  : D extends 'int32' ? Int32Array
  : D extends 'uint32' ? Uint32Array
  : D extends 'int64' ? BigInt64Array
  : D extends 'uint64' ? BigUint64Array
  : D extends 'float64' | 'complex128' ? Float64Array
  : Float32Array

/** A typed array that remembers its shape; publishing it again keeps both. */
export type Shaped<A> = A & { readonly shape: readonly number[], readonly dtype: Dtype }

/** Shape and element type of a tensor, row-major. */
export interface TensorInfo {
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

/** A tensor to publish: `data` has the elements in row-major order. */
export interface TensorValue {
  data: AnyTypedArray
  shape: readonly number[]
  /** Default: the type of `data`. */
  dtype?: Dtype
}

/** CloudEvents attributes: names of 1 to 20 characters a-z and 0-9. */
export type Attributes = Record<string, string>
