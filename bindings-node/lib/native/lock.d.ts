// Written by scripts/build.mjs from the crate; do not edit.

import type { Failure } from './error.js'

/** The native barrier behind the facade's. */
export class Barrier {
  /** One more party, which has not arrived yet. */
  party(): Party
  /** How many have arrived and wait. */
  waiting(): number
  /** Ends it. A second time does nothing. */
  close(): void
}

/** The native event behind the facade's. */
export class Event {
  /** Those who wait for it. */
  line(): LockLine
  /** Sets it. */
  set(): void
  /** Clears it. */
  clear(): void
  /** Whether it is set. */
  isSet(): boolean
  /** Ends it. A second time does nothing. */
  close(): void
}

/** Who has a lock, or something of it. */
export interface LockHolder {
  /** Its process; 0 where nothing is known of it any more. */
  pid: number
  /** Its label. */
  label: string
  /** Since when, in milliseconds since 1970; none where that is not known. */
  since?: number
  /** Whether it is alive. */
  alive: boolean
  /** Whether it is stopped by a signal or a debugger. */
  stopped: boolean
  /** `owner`, `reader`, `permit` or `party`. */
  role: string
}

/** The native half of the facade's line. */
export class LockLine {
  /** `()`: tries for somebody who waits; 0: there is nothing yet, 2: there is, and the owner before died. */
  bindAttempt(): () => number
  /** `()`: the same for somebody who does not wait. */
  bindAttemptOnce(): () => number
  /** The descriptor that is readable when whoever waits should try again; it tells nothing before the next attempt. */
  fd(): number
  /** Nobody waits any more. */
  giveUp(): void
  /** What is said to who is out of time. */
  timedOut(milliseconds: number): Failure
}

/** How to open a lock; what is missing takes the core's default. */
export interface LockSettings {
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** The native mutex behind the facade's. */
export class Mutex {
  /** Those who want it. */
  line(): LockLine
  /** `()`: gives it back. */
  bindRelease(): () => undefined
  /** Whether a task of this thread has it. */
  locked(): boolean
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}

/** Somebody who waits at a barrier. */
export class Party {
  /** The descriptor that is readable when it is worth asking again. */
  fd(): number
  /** Arrives, unless it has; whether it was the last, or (`null`) not all have arrived. */
  attempt(): boolean | null
  /** Takes back that it arrived; `false`: it has not, or all have by now. */
  withdraw(): boolean
  /** How many have arrived and wait. */
  waiting(): number
  /** What is said to one that is out of time. */
  timedOut(milliseconds: number): Failure
  /** Is no party any more. */
  leave(): void
}

/** The native readers' and writers' lock behind the facade's. */
export class RwLock {
  /** Those who want to read. */
  readers(): LockLine
  /** Those who want to write. */
  writers(): LockLine
  /** `()`: gives it back, however it was had. */
  bindRelease(): () => undefined
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}

/** The native semaphore behind the facade's. */
export class Semaphore {
  /** Those who want a permit. */
  line(): LockLine
  /** `()`: gives a permit back. */
  bindRelease(): () => undefined
  /** How many permits nobody alive has. */
  available(): number
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}
