import type { WaitOptions } from './wait.js'

/** A claim on what becomes of one message. Given up when it is collected; the message is worked on all the same. */
export interface Ticket<R = any> {
  /** How far the work is, from 0 to 1, as its consumer told. */
  readonly progress: number
  /**
   * The result the consumer gave, decoded as `value` of a job; undefined when it gave none. Rejects with
   * AXONIC_REJECTED, and the reason, when the message is a dead letter, with AXONIC_NOT_FOUND when somebody purged
   * it. Asked again, it answers the same.
   */
  result(options?: WaitOptions): Promise<R>
}
export const Ticket: { readonly prototype: Ticket }
