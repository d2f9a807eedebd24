import type { Peer } from './channel.js'
import type { LogLevel } from './log.js'
import type { Attributes } from './value.js'

/** What a handler knows about its call. */
export interface Context {
  readonly service: string
  readonly method: string
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  readonly cancelled: boolean
  /** Milliseconds that the caller still waits; Infinity: as long as it takes. */
  readonly remaining: number
  readonly caller: Peer
  /** What the caller sent beside its parameters; null if there is nothing. */
  readonly attributes: Attributes | null
  /** The trace the call belongs to; calls that the handler makes carry it on. */
  readonly traceparent: string | null
  /** What the caller streams, in order. */
  readonly input: AsyncIterableIterator<any>
  /** Tells the caller how far the work is, from 0 to 1. */
  progress(fraction: number, note?: string): void
  /** Tells the program's logger something about the call: see `setLogger`. */
  log(level: LogLevel, message: string): void
}
