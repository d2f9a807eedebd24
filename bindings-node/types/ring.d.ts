import type { Handle, Wait, WaitOptions } from './wait.js'

export interface RingOptions {
  /** Bytes of the largest message. */
  capacity?: number
  wait?: Wait
}

export interface RingStats {
  messages: number
  /** Times the producer waited for room. */
  blocked: number
  /** Written and not yet released, record headers included. */
  pendingBytes: number
  pendingMessages: number
  /** Times a sleeping consumer was woken. */
  wakesSent: number
  /** Messages for which the consumer had not to be woken. */
  wakesElided: number
}

/** The writing end of a ring. */
export interface RingProducer extends Handle {
  readonly name: string
  /** The pollable descriptor, readable when a push that found no room should be tried again. */
  readonly fd: number
  /** Pushes bytes now; a full ring throws AXONIC_WOULD_BLOCK. */
  push(data: NodeJS.ArrayBufferView): void
  /** Pushes bytes as soon as there is room; they must not be changed before the promise settles. */
  pushAsync(data: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<void>
  /** Lends `length` bytes of the ring itself; pushed when the callback returns, given up if it throws. */
  reserve<R>(length: number, callback: (array: Uint8Array) => R): R
  /** Counters since the ring was made; `pendingBytes` are written and not yet read. */
  stats(): RingStats
}
export const RingProducer: { readonly prototype: RingProducer }

/** The reading end of a ring; `for await` ends when the producer ended and all is read. */
export interface RingConsumer extends Handle, AsyncIterable<Buffer> {
  readonly name: string
  /** The pollable descriptor: readable until a call answered that there is nothing. */
  readonly fd: number
  /** The next message, or null. */
  tryPop(): Buffer | null
  /** Rejects with AXONIC_DISCONNECTED when the producer ended and all is read. */
  pop(options?: WaitOptions): Promise<Buffer>
  /** The next message into `buffer`; its length, or -1. */
  tryPopInto(buffer: NodeJS.ArrayBufferView): number
  popInto(buffer: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<number>
  /** Shows the next message in place (read-only memory); null when there is none. */
  tryBorrow<R>(callback: (array: Readonly<Uint8Array>) => R): R | null
  borrow<R>(callback: (array: Readonly<Uint8Array>) => R, options?: WaitOptions): Promise<Awaited<R>>
  /** Counters since the ring was made; `pendingBytes` are written and not yet read. */
  stats(): RingStats
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>
}
export const RingConsumer: { readonly prototype: RingConsumer }
