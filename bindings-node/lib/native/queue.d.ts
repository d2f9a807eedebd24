// Written by scripts/build.mjs from the crate; do not edit.

import type { PayloadParts } from './content.js'
import type { Failure } from './error.js'
import type { Ticket } from './ticket.js'

/** Which ids of messages are remembered. */
export interface DedupSettings {
  /** So many. */
  count?: number
  /** For so many milliseconds. */
  within?: number
}

/** A message as it was when somebody looked at it. */
export interface PeekedMessage {
  /** Its bytes. */
  data: Buffer
  /** Their content type's number. */
  content: number
  /** 0 to 7. */
  priority: number
  /** How often it was delivered. */
  attempts: number
  /** Why it is dead. */
  reason?: string
  /** The same in words; empty if there are none. */
  reasonText: string
}

/** How to put a message. */
export interface PutSettings {
  /** 0 to 7. */
  priority?: number
  /** Milliseconds before it is delivered. */
  delay?: number
  /** Milliseconds after which it is a dead letter. */
  ttl?: number
  /** A message with this id is put only once. */
  dedupId?: string
  /** Whether there is to be a ticket. */
  result?: boolean
}

/** The native queue behind the facade's. */
export class Queue {
  /**
  * `(lease)`: takes the next message for so many milliseconds, or (-1) without an end; row 0 of the table says what
  * it is. 0: there is none.
  */
  bindGet(): (lease: number) => number
  /** `(number, view)`: fetches a job's bytes into a view of their length. */
  bindTake(): (number: number, view: Uint8Array) => undefined
  /** `(number)`: a job is done with. */
  bindAck(): (number: number) => undefined
  /** The attributes of a job: name, value, name, value. */
  attributes(number: number): Array<string>
  /** A job is done with; `data` is what its producer gets that waits for it. */
  finish(number: number, data: Uint8Array, parts: PayloadParts): void
  /** Gives a job back, for after so many milliseconds. */
  giveBack(number: number, delay: number): void
  /** Nobody is to get a job any more. */
  reject(number: number, reason: string): void
  /** From now on a job is this consumer's for so many milliseconds. */
  extend(number: number, lease: number): void
  /** Tells how far the work on a job is. */
  progress(number: number, done: number): void
  /** Whether what happens is to be on the disk at once; `null` for a queue in memory only. */
  waitsForDisk(): boolean | null
  /** `(view, flags)`: puts a view's bytes; `false` when quiet and full. */
  bindPut(): (view: Uint8Array, flags: number) => false | undefined
  /** `(length, flags)`: puts the first bytes of the scratch. */
  bindPutScratch(): (length: number, flags: number) => false | undefined
  /** Throws if a payload is too large for the queue, or does not satisfy the schema. */
  check(data: Uint8Array, parts: PayloadParts): void
  /** Puts one payload; whether it is a duplicate, or `null` when quiet and full. */
  putParts(data: Uint8Array, parts: PayloadParts, settings: PutSettings, quiet: boolean): boolean | null
  /** The ticket of the last put, if it has one. */
  ticket(): Ticket | null
  /** Up to `max` messages that can be delivered now. */
  peek(max: number): Array<PeekedMessage>
  /** Up to `max` dead letters. */
  deadLetters(max: number): Array<PeekedMessage>
  /** Takes all messages away that nobody has, or all dead letters. How many. */
  purge(dead: boolean): number
  /** Lets up to `max` dead letters be delivered again. How many. */
  redrive(max: number): number
  /** Deliveries of one message before it is a dead letter, as whoever made the queue decided; 0: no limit. */
  maxAttempts(): number
  /** What is in it, and counters. */
  stats(): QueueStats
  /** What fills it, and what makes room in it. */
  whyFull(): Array<string>
  /** Has a thread wait until all that was put and settled before is on the disk. */
  sync(): Promise<Failure | null>
  /** The pollable descriptor of the consuming side; readable until `get` answered that there is nothing. */
  fd(): number
  /** The descriptor that is readable when a put that found no room should be tried again. */
  roomFd(): number
  /** The same for puts with a ticket, and readable when there may be news of a ticket. */
  ticketFd(): number
  /** Ends both sides: jobs that are not settled go back, tickets are given up. A second time does nothing. */
  close(): void
}

/** How to open a queue; what is missing takes the core's default. */
export interface QueueSettings {
  /** Messages it can hold. */
  capacity?: number
  /** Bytes of messages over 128 bytes it can hold together. */
  maxBytes?: number
  /** Deliveries of one message before it is a dead letter. */
  maxAttempts?: number
  /** Whether what is in it survives a reboot. */
  durable?: boolean
  /** `always`, `interval` or `never`. */
  fsync?: string
  /** Milliseconds between syncs. */
  fsyncInterval?: number
  /** Which ids of messages are remembered. */
  dedup?: DedupSettings
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** What is in a queue, and counters. */
export interface QueueStats {
  /** Messages to be delivered now. */
  ready: number
  /** Messages for later. */
  delayed: number
  /** Messages that consumers have. */
  leased: number
  /** Results that producers have not fetched. */
  done: number
  /** Dead letters. */
  dead: number
  /** Messages it can hold. */
  capacity: number
  /** Bytes of messages over 128 bytes, in the parts they are stored in. */
  bytes: number
  /** The most there can be of these. */
  maxBytes: number
  /** Messages put. */
  put: number
  /** Messages handed out. */
  delivered: number
  /** Messages acknowledged. */
  acked: number
  /** Deliveries given back. */
  returned: number
  /** Messages that became dead letters. */
  buried: number
  /** Times a producer had to wait for room. */
  blocked: number
  /** Bells rung for sleeping consumers. */
  wakesSent: number
}
