// Written by scripts/build.mjs from the crate; do not edit.

import type { PayloadParts } from './content.js'

/** One payload of `publishMany`. */
export interface PayloadItem {
  /** Its bytes. */
  data: Uint8Array
  /** The rest. */
  parts: PayloadParts
}

/** The native publisher behind the facade's. */
export class Publisher {
  /** The publisher's identity. */
  id(): bigint
  /** `(view, flags)`: sends a view's bytes. */
  bindSend(): (view: Uint8Array, flags: number) => false | undefined
  /** `(view, flags)`: sends a view's bytes as the tensor described in row 0 of the table. */
  bindSendTensor(): (view: NodeJS.ArrayBufferView, flags: number) => false | undefined
  /** `(length, flags)`: sends the first bytes of the scratch. */
  bindSendScratch(): (length: number, flags: number) => false | undefined
  /**
  * `(count, quiet)`: sends messages packed one after another into the scratch, all or none;
  * row i of the table describes the i-th.
  */
  bindSendPacked(): (count: number, quiet: 0 | 1) => false | undefined
  /** Sends one payload with a tensor description or attributes; `false` when quiet and full. */
  sendParts(data: Uint8Array, parts: PayloadParts, quiet: boolean): boolean
  /** Sends all or nothing; `false` when quiet and full. */
  sendMany(items: Array<PayloadItem>, quiet: boolean): boolean
  /**
  * Lends `length` bytes of shared memory as an `ArrayBuffer`; the ticket is in the table. `null`
  * when quiet and full.
  */
  loan(length: number, quiet: boolean): ArrayBuffer | null
  /**
  * Publishes a loan and ends its view; `false` when quiet and full, and then the loan waits for
  * another commit (or `abort`).
  */
  commit(ticket: number, buffer: ArrayBuffer, parts: PayloadParts, quiet: boolean): boolean
  /** Gives a loan back unpublished and ends its view. */
  abort(ticket: number, buffer: ArrayBuffer): void
  /**
  * Whether `count` subscribers would hear the next message; if not, the descriptor becomes
  * readable when it is worth asking again.
  */
  heardBy(count: number): boolean
  /** Live matched subscribers now. */
  subscribers(): number
  /** The descriptor that is readable when a publish that found no room should be tried again. */
  fd(): number
  /** Counters. */
  stats(): PublisherStats
  /** Ends the publisher; a second time does nothing. */
  close(): void
}

/** How to open a publisher; what is missing takes the core's default. */
export interface PublisherSettings {
  /** `dropOldest`, `block` or `reject`. */
  overflow?: string
  /** Bytes of the ring. */
  capacity?: number
  /** Budget in bytes for large payloads. */
  maxBytes?: number
  /** Keep what was sent after this publisher ends. */
  retain?: boolean
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a publisher. */
export interface PublisherStats {
  /** Messages published. */
  published: number
  /** Payload bytes published. */
  bytes: number
  /** Times a publish waited for room. */
  blocked: number
  /** Sleepers woken. */
  wakesSent: number
  /** Messages for which nobody had to be woken. */
  wakesElided: number
  /** Live matched subscribers. */
  subscribers: number
  /** Bytes of shared memory for large payloads. */
  slabBytes: number
  /** Slots of that memory which readers have pinned now. */
  pinned: number
  /** Finished publishers of this topic whose rings still wait for a reader, or are retained. */
  orphans: number
  /** Those of which only the count is left, for subscribers that are still to be told what they missed. */
  remnants: number
}
