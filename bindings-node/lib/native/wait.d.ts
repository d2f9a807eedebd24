// Written by scripts/build.mjs from the crate; do not edit.

import type { Publisher } from './publisher.js'
import type { Subscriber } from './subscriber.js'

/** The native wait set behind the facade's. Tokens are the facade's small integers. */
export class WaitSet {
  /** An empty set. */
  static create(): WaitSet
  /** Reports `token` while the subscriber has messages. */
  addSubscriber(subscriber: Subscriber, token: number): void
  /** Reports `token` when a publisher that found no room should try again. */
  addPublisher(publisher: Publisher, token: number): void
  /** Reports `token` while a foreign descriptor is readable. */
  addFd(fd: number, token: number): void
  /** Reports `token` every `period` milliseconds. */
  addTimer(period: number, token: number): void
  /** Forgets what has this token. */
  remove(token: number): boolean
  /** The tokens that are ready now; never waits. */
  ready(): Array<number>
  /** The pollable descriptor. */
  fd(): number
  /** Ends the set; a second time does nothing. */
  close(): void
}
