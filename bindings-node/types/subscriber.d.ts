import type { BorrowedMessage, Message } from './message.js'
import type { Handle, Wait, WaitOptions } from './wait.js'

export interface SubscriberOptions {
  /** Where to begin with publishers that are there already: `latest` (default) or `oldest`. */
  start?: 'latest' | 'oldest'
  /** Messages that may be borrowed at once. */
  maxBorrowed?: number
  /**
   * A JSON Schema, as an object or as JSON text, that every value must satisfy: one that does not is
   * passed over with AXONIC_DECODE, which names it. Going on afterwards gives the next message.
   */
  schema?: object | string
  wait?: Wait
  /** Aborting closes the subscriber; waits and iterations then reject with `signal.reason`. */
  signal?: AbortSignal
}

/** The receiving end of topics; `for await` receives for ever. */
export interface Subscriber<T = unknown> extends Handle, AsyncIterable<Message<T>> {
  readonly pattern: string
  /** Its identity, as the CLI shows it. */
  readonly id: bigint
  /** Messages missed so far. */
  readonly missed: number
  /** Live matched publishers now. */
  readonly publishers: number
  /** The pollable descriptor: readable until a call answered that there is nothing. */
  readonly fd: number
  /** The next message, or null. */
  tryReceive(): Message<T> | null
  receive(options?: WaitOptions): Promise<Message<T>>
  /**
   * Up to `max` messages that are there now; their data share one allocation. An error behind some
   * of them is thrown by the next call.
   */
  tryReceiveMany(max?: number): Message<T>[]
  /** At least one message, at most `max`. */
  receiveMany(max?: number, options?: WaitOptions): Promise<Message<T>[]>
  /**
   * The next message's bytes into `buffer`: the fastest way. Answers their number, or -1. A message
   * that does not fit throws AXONIC_TOO_LARGE and stays the next one.
   */
  tryReceiveInto(buffer: NodeJS.ArrayBufferView): number
  receiveInto(buffer: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<number>
  /**
   * Shows the next message in place to `callback`, and gives it back when that returns (or its
   * promise settles). Answers what the callback answers, or null when there is no message.
   */
  tryBorrow<R>(callback: (message: BorrowedMessage<T>) => R): R | null
  /** The same, as soon as there is a message; called at once if there is one already. */
  borrow<R>(callback: (message: BorrowedMessage<T>) => R, options?: WaitOptions): Promise<Awaited<R>>
  /** Counters since the open. */
  stats(): SubscriberStats
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>>
}

export interface SubscriberStats {
  received: number
  /** Payload bytes. */
  bytes: number
  missed: number
  /** Publishers' rings it reads from. */
  rings: number
  /** Samples borrowed now. */
  pinned: number
  /** Of these rings, those whose publishers have ended and that are still to be read out. */
  orphans: number
}

export const Subscriber: { readonly prototype: Subscriber }
