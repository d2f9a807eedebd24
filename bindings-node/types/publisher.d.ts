import type { AnyTypedArray, ArrayOf, Attributes, Dtype, Shaped, TensorValue } from './value.js'
import type { Handle, Wait, WaitOptions } from './wait.js'

export interface PublisherOptions {
  /**
   * What a full ring means: `dropOldest` (default) overwrites and lets the subscriber know how many
   * messages it missed, `block` waits (`publishAsync`) or throws AXONIC_WOULD_BLOCK (`publish`),
   * `reject` throws AXONIC_FULL.
   */
  overflow?: 'dropOldest' | 'block' | 'reject'
  /** Bytes of the ring for small messages. */
  capacity?: number
  /** Budget in bytes of shared memory for payloads over 2 KiB. */
  maxBytes?: number
  /** Keep what was sent after this publisher ends, for subscribers that start at `oldest`. */
  retain?: boolean
  /**
   * A JSON Schema, as an object or as JSON text, that every value must satisfy: others are refused
   * with AXONIC_INVALID_ARGUMENT. Bytes and tensors, and so loans, satisfy none.
   */
  schema?: object | string
  wait?: Wait
}

export interface PublishOptions {
  /** CloudEvents attributes to send along; missing required ones are filled in. */
  attributes?: Attributes
  /**
   * How to encode the value; default: bytes as `raw`, typed arrays as tensors, anything else as
   * `json`. Bytes given with `json` or `msgpack` are taken as already encoded.
   */
  content?: 'raw' | 'json' | 'msgpack'
}

/** A loan's memory as a tensor of this shape and element type (default `uint8`). */
export interface LoanSpec<D extends Dtype = Dtype> {
  shape: readonly number[]
  dtype?: D
  attributes?: Attributes
}

/** The sending end of a topic. */
export interface Publisher<T = unknown> extends Handle {
  readonly topic: string
  /** Its identity, as messages carry it. */
  readonly id: bigint
  /** Live matched subscribers now. */
  readonly subscribers: number
  /** The pollable descriptor, readable when a publish that found no room should be tried again. */
  readonly fd: number
  /**
   * Sends now and never waits. Uint8Array and Buffer go out as raw bytes, other typed arrays and
   * `{ data, shape, dtype }` as tensors, anything else as JSON.
   */
  publish(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PublishOptions): void
  /**
   * Sends as soon as there is room, in the order of the calls. The bytes of an array must not be
   * changed before the promise settles.
   */
  publishAsync(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PublishOptions & WaitOptions): Promise<void>
  /** Sends all or nothing, now. */
  publishMany(values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>): void
  /** Sends all or nothing, as soon as there is room for all. */
  publishManyAsync(values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>, options?: WaitOptions): Promise<void>
  /**
   * Lends shared memory to `callback` and publishes it when that returns (or its promise resolves);
   * an exception discards it. The array is empty afterwards. Its first contents are arbitrary.
   * Where an engine refuses foreign memory (Electron), the array is a copy and the rest is the same.
   */
  loan<R, D extends Dtype = 'uint8'>(spec: LoanSpec<D>, callback: (array: Shaped<ArrayOf<D>>) => R): R
  loan<R>(bytes: number | { bytes: number, attributes?: Attributes }, callback: (array: Uint8Array) => R): R
  /** `loan` that waits for room. */
  loanAsync<R, D extends Dtype = 'uint8'>(
    spec: LoanSpec<D>, callback: (array: Shaped<ArrayOf<D>>) => R, options?: WaitOptions
  ): Promise<Awaited<R>>
  loanAsync<R>(
    bytes: number | { bytes: number, attributes?: Attributes }, callback: (array: Uint8Array) => R, options?: WaitOptions
  ): Promise<Awaited<R>>
  /** Resolves when `count` subscribers are matched. */
  waitForSubscribers(count: number, options?: WaitOptions): Promise<void>
  /** Counters since the open. */
  stats(): PublisherStats
}

export interface PublisherStats {
  published: number
  /** Payload bytes. */
  bytes: number
  /** Times a publish waited for room. */
  blocked: number
  /** Sleeping subscribers woken. */
  wakesSent: number
  /** Messages for which nobody had to be woken. */
  wakesElided: number
  subscribers: number
  /** Shared memory taken for payloads over 2 KiB. */
  slabBytes: number
  /** Slots of that memory which readers have pinned now. */
  pinned: number
  /** Finished publishers of this topic whose rings still wait for a reader, or are retained. */
  orphans: number
  /** Those of which only the count is left, for subscribers that are still to be told what they missed. */
  remnants: number
}

export const Publisher: { readonly prototype: Publisher }
