// Written by scripts/build.mjs from the crate; do not edit.

/** Who sent a message: what is the same for all messages of one publisher, fetched once. */
export interface Source {
  /** Its topic. */
  topic: string
  /** Its identity. */
  publisher: bigint
}

/** The native subscriber behind the facade's. */
export class Subscriber {
  /** The subscriber's identity. */
  id(): bigint
  /**
  * `(max, has)`: announces up to `max` messages in the table; answers how many. An error waits for
  * the next call of a caller that has messages already.
  */
  bindNext(): (max: number, has: number) => number
  /** `(view)`: one message's bytes into a view; answers the length, or -1. */
  bindNextInto(): (view: NodeJS.ArrayBufferView) => number
  /** The publisher with this number. */
  source(number: number): Source
  /** The attributes of the held message: name, value, name, value. */
  attributes(): Array<string>
  /** `(view)`: fetches the held message into a view of its length. */
  bindTake(): (view: Uint8Array) => undefined
  /** The next message in place, as an `ArrayBuffer`; row 0 of the table says the rest. `null` when there is none. */
  borrow(): ArrayBuffer | null
  /** The attributes of a borrowed message. */
  borrowedAttributes(ticket: number): Array<string>
  /** Ends a view and gives the message back. */
  release(ticket: number, buffer: ArrayBuffer, shared: boolean): void
  /** Live matched publishers now. */
  publishers(): number
  /** Messages missed so far. */
  missed(): number
  /** The pollable descriptor; readable until a call answered that there is nothing. */
  fd(): number
  /** Counters. */
  stats(): SubscriberStats
  /** Ends the subscriber; a second time does nothing. Views still open stay valid. */
  close(): void
}

/** How to open a subscriber; what is missing takes the core's default. */
export interface SubscriberSettings {
  /** `latest` or `oldest`. */
  start?: string
  /** Samples that may be borrowed at once. */
  maxBorrowed?: number
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a subscriber. */
export interface SubscriberStats {
  /** Messages received. */
  received: number
  /** Payload bytes received. */
  bytes: number
  /** Messages missed. */
  missed: number
  /** Publishers' rings attached. */
  rings: number
  /** Samples borrowed now. */
  pinned: number
  /** Of these rings, those whose publishers have ended and that are still to be read out. */
  orphans: number
}
