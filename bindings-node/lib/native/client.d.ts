// Written by scripts/build.mjs from the crate; do not edit.

import type { PayloadParts } from './content.js'

/** How far a call is. */
export interface CallProgress {
  /** From 0 to 1. */
  fraction: number
  /** What its handler says to it. */
  note: string
}

/** How to begin a call. */
export interface CallSettings {
  /** Milliseconds that it may take. */
  timeout?: number
  /** The caller streams its input. */
  input: boolean
  /** The caller takes a stream. */
  stream: boolean
}

/** The native client behind the facade's. */
export class Client {
  /** The number to call a method by. */
  method(name: string): number
  /**
  * `(method, view)`: calls a method with a view's bytes, of the content and within the time that row 0 says. -1: nobody was
  * called, `connect` first; 0: it is under way, with the id in row 0; 1: row 0 tells of its result.
  */
  bindCall(): (method: number, view: Uint8Array) => number
  /** `(method, length)`: the same with the first bytes of the scratch. */
  bindCallScratch(): (method: number, length: number) => number
  /** Begins a call; its id, or -1: nobody was called, `connect` first. */
  start(method: number, data: Uint8Array, parts: PayloadParts, settings: CallSettings): number
  /** `(id)`: a call's result: 1: row 0 tells of it; 0: it is not there yet. With an error, too, the call is over. */
  bindResult(): (id: number) => number
  /** `(id)`: the next item of a call's stream: 1: row 0 tells of it; 0: it is not there yet; 2: there is no more. */
  bindNext(): (id: number) => number
  /** Fetches what was announced and did not fit into the scratch. */
  take(target: Uint8Array): void
  /** Streams one more item to a call's service; `false`: it takes none now. */
  send(id: number, data: Uint8Array, parts: PayloadParts): boolean
  /** There is no more input of a call. */
  finishInput(id: number): void
  /** How far a call is, as its service told last. */
  progress(id: number): CallProgress | null
  /** Gives a call up, if it is under way. */
  cancel(id: number): void
  /** The ids of calls that something came for since the last time. */
  news(): Array<number>
  /** Has a thread connect to whoever provides the service, for as long as somebody waits for it. */
  connect(): ClientConnecting
  /** Whether to connect and try once more, after so many providers that went. */
  mayTryAgain(gone: number): void
  /** The pollable descriptor; readable until `news` answered that there are none. */
  fd(): number
  /** Ends it, and gives up the calls that are under way; a second time does nothing. */
  close(): void
}

/** A connection that is about to be there. */
export class ClientConnecting {
  /** Nobody waits for it any more. */
  giveUp(): void
  /** Readable once it is decided. */
  fd(): number
  /** Whether it is there; `false`: that is not decided yet. */
  take(): boolean
}

/** How to open a client; what is missing takes the core's default. */
export interface ClientSettings {
  /** Where the service is; default: at whoever provides it in the domain. */
  address?: string
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}
