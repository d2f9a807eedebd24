'use strict'

// Whoever waits until what a durable queue holds is on the disk; a thread of the core's sees to that. Only threads of libuv's
// wait.

const { checkWait } = require('./check.js')
const { AxonicError, failure } = require('./error.js')
const { within } = require('./wait.js')

class Disk {
  #native
  #name
  /** Whether everybody waits for it; null: the queue is in memory only. */
  #isAwaited
  /** @type {Promise<void> | null} */
  #running = null
  /** @type {Promise<void> | null} */
  #next = null

  /** @param {import('./native.js').Queue} native */
  constructor (native, name) {
    this.#native = native
    this.#name = name
    this.#isAwaited = native.waitsForDisk()
  }

  /** Whether somebody waits who asked for that, or (undefined) asked for what the queue says. */
  isAwaited (durable) {
    return this.#isAwaited !== null && (durable ?? this.#isAwaited)
  }

  /** Refuses to wait for the disk where nothing ever gets there. */
  check (durable) {
    if (durable !== true || this.#isAwaited !== null) return
    const remedy = 'leave that out, or make a queue with `durable`'
    throw failure('InvalidArgument', `queue '${this.#name}'`, 'it is in memory only, so nothing of it can be durable', remedy)
  }

  /** Waits until everything that was put and settled before is on the disk. */
  async wait (options) {
    checkWait(options)
    if (options?.signal?.aborted) throw options.signal.reason
    if (this.#isAwaited === null) return
    await within(this.#sync(), options, (ms) => {
      const happened = `not on the disk in ${ms} ms`
      return failure('Timeout', `queue '${this.#name}'`, happened, 'it is accepted, and will be')
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

/** Whoever waited for that one hears it. */
function told () {}

module.exports = { Disk }
