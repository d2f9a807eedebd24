// Written by scripts/build.mjs from the crate; do not edit.

import type { Peer } from './channel.js'
import type { PayloadParts } from './content.js'
import type { ThrownParts } from './error.js'

/** The native service behind the facade's. Calls are known by their numbers. */
export class Service {
  /** Its version. */
  version(): string
  /** Whether it polls for calls rather than wait for them. */
  spins(): boolean
  /** Calls that are at work. */
  atWork(): number
  /** Has it called at an address too. The address, with what the system chose. */
  listen(address: string): string
  /** `()`: the next call: 1: row 0 tells of it; 0: there is none. */
  bindTake(): () => number
  /** `(number, view)`: answers a call with a view's bytes, of the content that row 0 says. */
  bindReply(): (number: number, view: Uint8Array) => number
  /** `(number, length)`: the same with the first bytes of the scratch. */
  bindReplyScratch(): (number: number, length: number) => number
  /** `(number)`: the next item of a call's input: 1: row 0 tells of it; 0: there is none yet; 2: there is no more. */
  bindInput(): (number: number) => number
  /** Fetches the arguments of a call, or the item of its input, that was announced and did not fit into the scratch. */
  fetch(number: number, target: Uint8Array): void
  /** The attributes of a call: name, value, name, value. */
  attributes(number: number): Array<string>
  /** Answers a call. */
  replyParts(number: number, data: Uint8Array, parts: PayloadParts): void
  /** Answers that a call failed by what its handler threw. */
  fail(number: number, thrown: ThrownParts): void
  /** Says that a call's handler streams. */
  beginStream(number: number): void
  /** Streams one more item to a caller; `false`: it takes none now. */
  send(number: number, data: Uint8Array, parts: PayloadParts): boolean
  /** Tells a caller how far its call is. */
  progress(number: number, fraction: number, note: string): void
  /** Milliseconds that a caller still waits; `null`: as long as it takes. */
  remaining(number: number): number | null
  /** Who calls. */
  peer(number: number): Peer
  /** The ids of calls at work that nobody waits for any more, since the last time. */
  givenUp(): Array<number>
  /** The ids of calls at work whose streams may go on, since the last time. */
  news(): Array<number>
  /** The pollable descriptor; readable until `take` answered that there is nothing. */
  fd(): number
  /** Ends it: calls that are not answered fail. A second time does nothing. */
  close(): void
}

/** How to provide a service; what is missing takes the core's default. */
export interface ServiceSettings {
  /** Calls that may be at work at the same time. */
  concurrency?: number
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}
