'use strict'

// Waiting without a thread: promises in line behind a descriptor that the event loop watches.
//
// A handle that nobody waits on is not watched, or watched without keeping the process alive. A
// waiting one is held: the process stays, and so does the handle.

const { leaveAbort, onAbort } = require('./abort.js')
const native = require('./native.js')
const { checkWait } = require('./check.js')

/** What an attempt answers when it would have to wait. */
const AGAIN = Symbol('axonic.again')
/** setTimeout takes no more; a longer wait is as good as endless. */
const MAX_TIMEOUT = 2 ** 31 - 1
/** Milliseconds a chain of immediately successful waits may keep the event loop from turning. */
const MAX_HOLD = 2

// When the loop last turned, as far as this file knows.
let turned = performance.now()

/** A promise of a result that is already there; lets timers and I/O of others run now and then. */
function settled (result) {
  if (performance.now() - turned < MAX_HOLD) return Promise.resolve(result)
  return new Promise((resolve) => {
    setImmediate(() => {
      turned = performance.now()
      resolve(result)
    })
  })
}

/** A timeout as the native half takes it: what waits as long as it takes has none there. */
function limited (timeout) {
  return timeout === Infinity ? undefined : timeout
}

/** Milliseconds as people say them: what is left of a time has many digits. */
function rounded (milliseconds) {
  return milliseconds < 1 ? Number(milliseconds.toPrecision(1)) : Math.round(milliseconds)
}

/**
 * The outcome of what goes on elsewhere, and cannot be stopped: whoever is out of time just leaves.
 *
 * @param {import('../index.js').WaitOptions} options
 */
function within (promise, options = {}, timedOut) {
  const { timeout, signal } = options
  return new Promise((resolve, reject) => {
    const onTimeout = () => reject(timedOut(rounded(timeout)))
    const timer = timeout !== undefined && timeout <= MAX_TIMEOUT ? setTimeout(onTimeout, timeout) : undefined
    const onAborted = () => reject(signal?.reason)
    if (signal?.aborted) onAborted()
    if (timeout === 0) onTimeout()
    if (signal !== undefined) onAbort(signal, onAborted)
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer)
      leaveAbort(signal, onAborted)
    })
  })
}

/** What an iterable is read by. */
const iteratorOf = (items) => (items[Symbol.asyncIterator] ?? items[Symbol.iterator]).call(items)

/** Nobody takes more of it: its `finally` runs. What goes wrong there has nobody to hear of it. */
async function leave (iterator) {
  try {
    await iterator.return?.()
  } catch {}
}

class Waiters {
  #handle
  /** @type {native.Poll | null} */
  #poll = null
  /** @type {((hold: 0 | 1) => undefined) | null} */
  #hold = null
  #started = false
  #queue = new Set()
  /** How many stand in each line. */
  #lines = new Map()
  #busy

  /**
   * @param handle `{ fd(), timedOut(ms, line), arm?(lines), left?(), together? }`: the descriptor, the error when time runs
   *   out, where attempts leave the descriptor as it is what makes it tell of the next news, what is to be done when
   *   nobody waits any more, and whether what one gets is for all
   * @param busy the set of the domain's waiting `Waiters`; closing the domain closes them
   */
  constructor (handle, busy) {
    this.#handle = handle
    this.#busy = busy
  }

  /** Whether somebody is in this line. */
  isWaiting (line) {
    return this.#lines.has(line)
  }

  /**
   * Resolves with what `attempt` answers as soon as that is not AGAIN. First come, first served,
   * among those who stand in the same `line`.
   * `onClosed` may turn the handle's closing, an error, into a result.
   *
   * @param {() => any} attempt
   * @param {import('../index.js').WaitOptions} options
   * @param {(error: Error) => any} [onClosed]
   */
  wait (attempt, options = {}, onClosed, line = 0) {
    // Null is refused below.
    const { timeout, signal } = options ?? {}
    try {
      checkWait(options)
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (this.#queue.size === 0 || !this.isWaiting(line)) {
        const result = attempt()
        if (result !== AGAIN) return settled(result)
      }
      if (timeout === 0) throw this.#handle.timedOut(0, line)
      if (this.#poll === null) {
        this.#watch()
        // Making it pollable may have come after a message: look again before sleeping.
        const result = attempt()
        if (result !== AGAIN) return settled(result)
      }
    } catch (error) {
      if (this.#queue.size === 0) this.#handle.left?.()
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => {
      this.#enqueue({ attempt, resolve, reject, onClosed, line, timeout, signal, timer: undefined, onAbort: undefined })
    })
  }

  /** Everybody in line hears `error`; later waits fail in their attempt. */
  close (error) {
    for (const entry of this.#queue) {
      this.#leave(entry)
      try {
        if (entry.onClosed === undefined) throw error
        entry.resolve(entry.onClosed(error))
      } catch (reason) {
        entry.reject(reason)
      }
    }
    this.#poll?.close()
    this.#poll = this.#hold = null
    this.#started = false
  }

  #watch () {
    this.#poll = new native.Poll(this.#handle.fd(), this.#onReadable)
    this.#hold = this.#poll.bindHold()
  }

  #enqueue (entry) {
    const { timeout, signal } = entry
    if (this.#queue.size === 0) {
      this.#hold?.(1)
      this.#busy.add(this)
    }
    this.#queue.add(entry)
    this.#lines.set(entry.line, (this.#lines.get(entry.line) ?? 0) + 1)
    if (!this.#started) {
      this.#poll?.start()
      this.#started = true
    }
    if (timeout <= MAX_TIMEOUT) {
      entry.timer = setTimeout(() => {
        this.#leave(entry)
        entry.reject(this.#handle.timedOut(rounded(timeout), entry.line))
      }, timeout)
    }
    if (signal) {
      entry.onAbort = () => {
        this.#leave(entry)
        entry.reject(signal.reason)
      }
      onAbort(signal, entry.onAbort)
    }
  }

  #leave (entry) {
    if (!this.#queue.delete(entry)) return
    const others = this.#lines.get(entry.line) - 1
    if (others === 0) this.#lines.delete(entry.line)
    else this.#lines.set(entry.line, others)
    if (entry.timer !== undefined) clearTimeout(entry.timer)
    if (entry.onAbort !== undefined) leaveAbort(entry.signal, entry.onAbort)
    if (this.#queue.size === 0) {
      this.#hold?.(0)
      this.#busy.delete(this)
      this.#handle.left?.()
    }
  }

  #onReadable = () => {
    turned = performance.now()
    if (this.#queue.size === 0) {
      // Nobody has waited since the last turn: stop watching until somebody does.
      this.#poll?.stop()
      this.#started = false
      return
    }
    this.#handle.arm?.(this.#lines.keys())
    this.look()
  }

  /** Those go on for whom there is something; `except` for those of one line. */
  look (except) {
    const stuck = new Set([except])
    let result = AGAIN
    for (const entry of this.#queue) {
      if (stuck.has(entry.line)) continue
      try {
        if (result === AGAIN || !this.#handle.together) result = entry.attempt()
      } catch (error) {
        this.#leave(entry)
        entry.reject(error)
        continue
      }
      if (result === AGAIN) {
        stuck.add(entry.line)
        continue
      }
      this.#leave(entry)
      entry.resolve(result)
    }
  }
}

const DONE = Object.freeze({ value: undefined, done: true })

/** `for await` over what `take` answers (null: nothing yet). */
class Iteration {
  #waiters
  #take
  #last
  #began = false

  /** @param {string} [last] code of the error that means that all has been read */
  constructor (waiters, take, last) {
    this.#waiters = waiters
    this.#take = take
    this.#last = last
  }

  #attempt = () => {
    try {
      const value = this.#take()
      return value === null ? AGAIN : { value, done: false }
    } catch (error) {
      return this.#end(error)
    }
  }

  /** Closing the handle ends a running iteration; beginning one on a closed handle is an error. */
  #end = (error) => {
    const code = error?.code
    if (code !== undefined && (code === this.#last || (this.#began && code === 'AXONIC_CLOSED'))) return DONE
    throw error
  }

  next () {
    const next = this.#waiters.wait(this.#attempt, undefined, this.#end)
    this.#began = true
    return next
  }

  return () {
    return Promise.resolve(DONE)
  }

  [Symbol.asyncIterator] () {
    return this
  }
}

module.exports = { AGAIN, DONE, Iteration, MAX_TIMEOUT, Waiters, iteratorOf, leave, limited, rounded, settled, within }
