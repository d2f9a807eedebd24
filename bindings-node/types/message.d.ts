import type { AnyTypedArray, Attributes, Shaped, TensorInfo } from './value.js'

/** A received message; its bytes belong to the receiver. */
export interface Message<T = unknown> {
  readonly topic: string
  /** The payload. */
  readonly data: Buffer
  /**
   * The payload by its content type: raw is the Buffer, JSON and MessagePack are the decoded value,
   * a tensor is a typed array with `shape` and `dtype`. Throws AXONIC_DECODE if it cannot be decoded.
   */
  readonly value: T
  readonly content: 'raw' | 'json' | 'msgpack' | 'tensor'
  /** Messages missed just before this one. */
  readonly missed: number
  /** Its number in the order of its publisher. */
  readonly sequence: number
  /** The identity of its publisher. */
  readonly publisher: bigint
  /** CloudEvents attributes, if it has any. */
  readonly attributes: Readonly<Attributes> | null
  readonly tensor: TensorInfo | null
}
export const Message: { readonly prototype: Message }

/** A message in place, for the length of a callback. */
export interface BorrowedMessage<T = unknown> extends Message<T> {
  /**
   * The payload in shared memory: an array of the tensor's type, else a Uint8Array. It is empty
   * after the callback. The memory is read-only: writing to it ends the process.
   */
  readonly array: Readonly<Shaped<AnyTypedArray> | Uint8Array>
}
