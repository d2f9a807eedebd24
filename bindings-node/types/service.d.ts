import type { ChannelOptions } from './channel.js'
import type { Context } from './context.js'
import type { Handle } from './wait.js'

/**
 * Answers calls of a method. What it returns, or resolves with, is the result (nothing: null); a generator streams, and what
 * it returns is the result. What it throws fails the call: a `Status` as it says, the failure of a call it made as that is, a
 * time that was over with DEADLINE_EXCEEDED, an abort with CANCELLED, anything else with UNKNOWN.
 */
export type Handler = (params: any, ctx: Context) => unknown

export interface ServiceOptions extends ChannelOptions {
  /** Calls that may be at work at the same time; the others wait. Default 64. */
  concurrency?: number
}

/**
 * A service that this process provides. With `wait: 'spin'` it polls for calls in every turn of the event loop, some 50 us,
 * and uses a processor up.
 */
export interface Service extends Handle {
  readonly name: string
  readonly version: string
  /** Calls that are at work. */
  readonly atWork: number
  /**
   * Has it called at an address too, by clients of other domains or machines; the address, with what the system chose. At
   * `pipe:0,1` it is there for whoever has the other ends: when that has ended, and all it asked for is answered, it closes.
   */
  listen(address: string): string
}
export const Service: { readonly prototype: Service }
