import type { Publisher } from './publisher.js'
import type { Subscriber } from './subscriber.js'
import type { Handle, WaitOptions } from './wait.js'

/** Waits for many things at once; `Token` is what it reports for each. */
export interface WaitSet<Token = unknown> extends Handle {
  /** Members. */
  readonly size: number
  /** The pollable descriptor, for other event loops. */
  readonly fd: number
  /**
   * Reports `token` (default: the handle) while a subscriber has messages, or a publisher that found
   * no room should try again. A new member may be reported at once: it has not been asked yet.
   */
  add(handle: Subscriber<any> | Publisher<any>, token?: Token): this
  /** Reports `token` (default: the descriptor) while a descriptor is readable. */
  addFd(fd: number, token?: Token): this
  /** Reports `token` every `period` milliseconds. */
  addTimer(period: number, token: Token): this
  /** Forgets everything added with `token`. */
  remove(token: Token): this
  /** The tokens that are ready now. */
  ready(): Token[]
  /** The tokens that are ready as soon as there are some; none when the time runs out. */
  wait(options?: WaitOptions): Promise<Token[]>
}
export const WaitSet: { new <Token = unknown>(): WaitSet<Token>, readonly prototype: WaitSet }
