'use strict'

// When what a durable queue holds gets to the disk. Only threads of libuv's wait for that.

const { AxonicError, failure } = require('./error.js')
const { within } = require('./wait.js')

// What the native half says of a queue's `fsync`, beside milliseconds: see `queue.rs`.
const IN_MEMORY = -2
const AT_ONCE = 0

class Disk {
  #native
  #name
  #fsync
  /** @type {Promise<void> | null} */
  #running = null
  /** @type {Promise<void> | null} */
  #next = null
  /** @type {NodeJS.Timeout | undefined} */
  #timer

  /** @param {import('./native.js').Queue} native */
  constructor (native, name) {
    this.#native = native
    this.#name = name
    this.#fsync = native.fsync()
  }

  /** Something was put or settled: it is on the disk as soon as the queue says, though nobody waits for it. */
  changed () {
    if (this.#fsync < AT_ONCE) return
    if (this.#fsync === AT_ONCE) {
      this.#sync().catch(told)
    } else if (this.#timer === undefined) {
      // Before it is due: whoever finds it due has to do it, and that may be the event loop.
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.#sync().catch(told)
      }, this.#fsync / 2).unref()
    }
  }

  /** Whether somebody waits who asked for that, or (undefined) asked for what the queue says. */
  isAwaited (durable) {
    return this.#fsync !== IN_MEMORY && (durable ?? this.#fsync === AT_ONCE)
  }

  /** Refuses to wait for the disk where nothing ever gets there. */
  check (durable) {
    if (durable !== true || this.#fsync !== IN_MEMORY) return
    const remedy = 'leave that out, or make a queue with `durable`'
    throw failure('InvalidArgument', `queue "${this.#name}"`, 'it is in memory only, so nothing of it can be durable', remedy)
  }

  /** Waits until everything that was put and settled before is on the disk. */
  async wait (options) {
    const synced = this.#fsync === IN_MEMORY ? Promise.resolve() : this.#sync()
    await within(synced, options, (ms) => {
      const happened = `not on the disk in ${ms} ms`
      return failure('Timeout', `queue "${this.#name}"`, happened, 'it is accepted, and will be')
    })
  }

  /** One sync serves all who ask before it begins. */
  #sync () {
    if (this.#running === null) return this.#begin()
    this.#next ??= this.#running.catch(told).then(() => {
      this.#next = null
      return this.#running ?? this.#begin()
    })
    return this.#next
  }

  #begin () {
    this.#running = this.#native.sync().then((failed) => {
      this.#running = null
      if (failed !== null) throw new AxonicError(failed.kind, failed.message)
    })
    return this.#running
  }
}

/** The core's log has it; whoever asked for it hears it too. */
function told () {}

module.exports = { Disk }
