// Written by scripts/build.mjs from the crate; do not edit.

/** The native reading end behind the facade's. */
export class RingConsumer {
  /**
  * `()`: the next message into the scratch; answers its length, or -1. One longer than the
  * scratch stays for `popInto`.
  */
  bindPop(): () => number
  /**
  * `(view)`: the next message into a view; answers its length, or -1. One longer than the view
  * stays for a larger one.
  */
  bindPopInto(): (view: NodeJS.ArrayBufferView) => number
  /** The next message in place, as an `ArrayBuffer`; `null` when there is none. */
  borrow(): ArrayBuffer | null
  /** Ends a view and gives the message's room back. */
  finish(buffer: ArrayBuffer, shared: boolean): void
  /** The pollable descriptor; readable until a call answered that there is nothing. */
  fd(): number
  /** Counters. */
  stats(): RingStats
  /** Whether a borrow callback is still running. */
  inUse(): boolean
  /** Ends the consumer; a second time does nothing. */
  close(): void
}

/** The native writing end behind the facade's. */
export class RingProducer {
  /** `(view, quiet)`: pushes a view's bytes. */
  bindPush(): (view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | undefined
  /** Reserves `length` bytes in place, as an `ArrayBuffer`. */
  reserve(length: number): ArrayBuffer
  /** Publishes a reservation and ends its view; without `commit` it is only given up. */
  finish(buffer: ArrayBuffer, commit: boolean): void
  /** The descriptor that is readable when a push that found no room should be tried again. */
  fd(): number
  /** Counters. */
  stats(): RingStats
  /** Whether a reserve callback is still running. */
  inUse(): boolean
  /** Ends the producer; a second time does nothing. */
  close(): void
}

/** How to open a ring; what is missing takes the core's default. */
export interface RingSettings {
  /** Bytes of the largest message. */
  capacity?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a ring. */
export interface RingStats {
  /** Messages written since the ring was made. */
  messages: number
  /** Times the producer waited for room. */
  blocked: number
  /** Bytes written and not yet released. */
  pendingBytes: number
  /** Messages written and not yet released. */
  pendingMessages: number
  /** Times a sleeping consumer was woken. */
  wakesSent: number
  /** Messages for which the consumer had not to be woken. */
  wakesElided: number
}
