'use strict'

const { NUMBER, TEXT, TIME, check, checkOptions } = require('./check.js')
const { AxonicError, failure } = require('./error.js')
const { ASYNC_DISPOSE, DISPOSE, inspectable } = require('./internal.js')
const { CONTENTS, RAW, decode, encode } = require('./value.js')

/** A message taken from a queue: nobody else gets it until it is settled, or this process is dead. */
class Job {
  /** What its queue shares with its jobs. */
  #desk
  /** The native half knows it by this; -1: it is settled. */
  #number
  #seen
  #value
  #decoded = false

  /** Made by queues only: what is known about it, its bytes, its attributes. */
  constructor (desk, number, seen, data, attributes) {
    this.#desk = desk
    this.#number = number
    this.#seen = seen
    this.data = data
    this.attributes = attributes
  }

  get queue () {
    return this.#desk.name
  }

  get content () {
    return CONTENTS[this.#seen.content]
  }

  get tensor () {
    return this.#seen.tensor
  }

  /** Its priority, 0 to 7. */
  get priority () {
    return this.#seen.priority
  }

  /** The number of this delivery of the message, from 1. */
  get attempt () {
    return this.#seen.attempt
  }

  /** Greater for each later delivery of the same message. */
  get token () {
    return BigInt(this.#seen.high) << 32n | BigInt(this.#seen.low)
  }

  /** Decoded at first use. */
  get value () {
    if (!this.#decoded) {
      const { content, tensor } = this.#seen
      this.#value = content === RAW ? this.data : decode('job of queue', this.#desk.name, content, this.data, tensor)
      this.#decoded = true
    }
    return this.#value
  }

  /** Whether it is no longer this consumer's, as far as was told here. */
  get settled () {
    return this.#number < 0
  }

  /** It is done with; a result is for the producer that waits for it. */
  ack (result) {
    const number = this.#held()
    if (result === undefined) {
      this.#number = -1
      this.#desk.ack(number)
    } else {
      const { data, parts } = encode(result, `job of queue '${this.queue}': cannot ack with`)
      this.#number = -1
      this.#desk.native.finish(number, data, parts)
    }
  }

  /** The same, and it is on the disk, as the queue says, before the promise resolves. */
  async ackAsync (result, options) {
    checkOptions(options)
    this.#desk.disk.check(options?.durable)
    this.ack(result)
    if (this.#desk.disk.isAwaited(options?.durable)) await this.#desk.disk.wait(options)
  }

  /**
   * Gives it back, to be delivered again.
   *
   * @param {{ delay?: number }} options
   */
  nack (options = {}) {
    checkOptions(options)
    const { delay = 0 } = options
    this.#settle((number) => this.#desk.native.giveBack(number, delay))
  }

  /** Nobody is to get it any more: it goes to the dead letters. */
  reject (reason = '') {
    check('reason', reason, TEXT)
    this.#settle((number) => this.#desk.native.reject(number, reason))
  }

  /** From now on it is this consumer's for so many milliseconds. */
  extend (lease) {
    check('lease', lease, TIME)
    this.#desk.native.extend(this.#held(), lease)
  }

  /** Tells the producer that waits for the result how far the work is, from 0 to 1. */
  progress (done) {
    check('done', done, NUMBER)
    this.#desk.native.progress(this.#held(), done)
  }

  #held () {
    if (this.#number >= 0) return this.#number
    throw failure('Closed', `job of queue '${this.#desk.name}'`, 'it is settled already', 'get the next one')
  }

  #settle (how) {
    const number = this.#held()
    try {
      how(number)
      this.#number = -1
    } catch (error) {
      // What was wrong with the call changed nothing.
      if (!(error instanceof AxonicError && error.kind === 'InvalidArgument')) this.#number = -1
      throw error
    }
  }
}

/**
 * `using` gives back what was not settled; if it is no longer ours, so much the better.
 *
 * @param {Job} job
 */
function giveBack (job) {
  if (job.settled) return
  try {
    job.nack()
  } catch (error) {
    if (!(error instanceof AxonicError && ['LeaseLost', 'Closed'].includes(error.kind))) throw error
  }
}

const hidden = { configurable: true, writable: true }
Object.defineProperty(Job.prototype, DISPOSE, { ...hidden, value () { giveBack(this) } })
Object.defineProperty(Job.prototype, ASYNC_DISPOSE, { ...hidden, async value () { giveBack(this) } })

inspectable(Job, (job) => {
  const { queue, content, data, priority, attempt, tensor, attributes, settled } = job
  const shown = { queue, content, data, priority, attempt, settled }
  if (tensor !== null) shown.tensor = tensor
  if (attributes !== null) shown.attributes = attributes
  return shown
})

module.exports = { Job }
