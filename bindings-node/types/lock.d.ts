import type { Handle, Wait, WaitOptions } from './wait.js'

/** Who has a lock, or something of it. */
export interface LockHolder {
  /** As its own pid namespace numbers it; 0, and `label` '', where nothing is known of it any more. */
  readonly pid: number
  readonly label: string
  /** Milliseconds since 1970, as of `Date.now()`; null where that is not known. */
  readonly since: number | null
  /** If not, it died, and nobody has taken the lock since. */
  readonly alive: boolean
  /** By a signal or a debugger. */
  readonly stopped: boolean
  /** `owner`: it has the mutex, or writes; `permit`: of a semaphore, one of each; `party`: it waits at a barrier. */
  readonly role: 'owner' | 'reader' | 'permit' | 'party'
}

export interface LockOptions {
  wait?: Wait
}

/**
 * What a task has of a lock until it releases it: `await using held = await ax.mutex('gpu').acquire()`. Forgotten, it is
 * held until the lock is closed or its process ends.
 */
export interface Held {
  /** The owner before died while it had it: what the lock protects may be half-changed. Never of a semaphore. */
  readonly ownerDied: boolean
  /** Gives it back; a second time, or once the lock was closed, throws AXONIC_CLOSED. The end of a block does not. */
  release(): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}
export const Held: { readonly prototype: Held }

/**
 * A mutex between processes, and between the tasks of this one, which get it in the order in which they ask. Between
 * processes it is not fair: whoever gives it back and wants it again at once mostly gets it before one that sleeps for it. If
 * its owner dies, who gets it next is told.
 */
export interface Mutex extends Handle {
  readonly name: string
  /** Whether a task of this thread has it. */
  readonly locked: boolean
  acquire(options?: WaitOptions): Promise<Held>
  /** undefined: somebody alive has it, or waits for it here. */
  tryAcquire(): Held | undefined
}
export const Mutex: { readonly prototype: Mutex }

/**
 * A lock that many read, or one writes, between processes and between tasks. One that waits to write stops those who come
 * to read. If a writer dies while it writes, who writes next, or the first to read, is told.
 */
export interface RwLock extends Handle {
  readonly name: string
  read(options?: WaitOptions): Promise<Held>
  write(options?: WaitOptions): Promise<Held>
  /** undefined: somebody alive writes, or waits to, or waits here to read. */
  tryRead(): Held | undefined
  /** undefined: somebody alive has it, or waits here to write. */
  tryWrite(): Held | undefined
}
export const RwLock: { readonly prototype: RwLock }

/** A number of permits. Those of a process that dies come back by themselves. */
export interface Semaphore extends Handle {
  readonly name: string
  readonly permits: number
  /** How many permits nobody alive has. */
  readonly available: number
  acquire(options?: WaitOptions): Promise<Held>
  /** undefined: all permits are had by somebody alive, or somebody waits for one here. */
  tryAcquire(): Held | undefined
}
export const Semaphore: { readonly prototype: Semaphore }

export interface EventOptions extends LockOptions {
  /** Whether the first one that waited for it clears it, so that only that one passes; default: `clear` does. */
  autoReset?: boolean
}

/** An event: set or clear. It belongs to nobody, and is gone when nobody has it open. */
export interface Event extends Handle {
  readonly name: string
  readonly autoReset: boolean
  readonly isSet: boolean
  /** Everybody who waits passes, however soon it is cleared, or (`autoReset`) one of them, or the next to come. */
  set(): void
  clear(): void
  wait(options?: WaitOptions): Promise<void>
  /** Whether it is set; if so (`autoReset`), clears it. */
  tryWait(): boolean
}
export const Event: { readonly prototype: Event }

/** A meeting point: whoever arrives waits until so many have. One that dies has not arrived. */
export interface Barrier extends Handle {
  readonly name: string
  readonly parties: number
  /** How many have arrived and wait, in all processes. */
  readonly waiting: number
  /**
   * Arrives, and waits until all have; each wait of a task is a party. true for the last one, of which there is one each
   * time. Out of time or aborted, it has not arrived.
   */
  wait(options?: WaitOptions): Promise<boolean>
}
export const Barrier: { readonly prototype: Barrier }
