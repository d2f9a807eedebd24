import type { DurableOptions } from './disk.js'
import type { Attributes, TensorInfo } from './value.js'

/**
 * A message taken from a queue: nobody else gets it until it is settled, its lease is over, or its process is dead.
 * `using` gives it back unless it was settled. Settling a job whose lease is over throws AXONIC_LEASE_LOST, settling
 * one twice AXONIC_CLOSED.
 */
export interface Job<T = unknown> {
  /** The queue's name. */
  readonly queue: string
  /** The payload. */
  readonly data: Buffer
  /** The payload by its content type, as `value` of a message. */
  readonly value: T
  readonly content: 'raw' | 'json' | 'msgpack' | 'tensor'
  /** CloudEvents attributes, if it has any. */
  readonly attributes: Readonly<Attributes> | null
  readonly tensor: TensorInfo | null
  /** 0 to 7. */
  readonly priority: number
  /** The number of this delivery of the message, from 1. */
  readonly attempt: number
  /** Greater for each later delivery of the same message, to tell a storage that a late writer is late. */
  readonly token: bigint
  /** Whether it was settled here. */
  readonly settled: boolean
  /** It is done with; `result` is for the producer that waits for it. Never waits for the disk. */
  ack(result?: unknown): void
  /**
   * The same; of a durable queue, it is on the disk when the promise resolves. Out of time, aborted, or
   * where the disk takes nothing, it is done with all the same.
   */
  ackAsync(result?: unknown, options?: DurableOptions): Promise<void>
  /** Gives it back, to be delivered again after `delay` milliseconds (default: at once). */
  nack(options?: { delay?: number }): void
  /** Nobody is to get it any more: it goes to the dead letters, with the reason. Of that, 4,096 bytes are kept. */
  reject(reason?: string): void
  /** From now on it is this consumer's for so many milliseconds. */
  extend(lease: number): void
  /** Tells the producer that waits for the result how far the work is, from 0 to 1. */
  progress(done: number): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}
export const Job: { readonly prototype: Job }
