'use strict'

const { AxonicError } = require('./error.js')
const { inspectable } = require('./internal.js')
const { CONTENTS, RAW, decode } = require('./value.js')
const { AGAIN } = require('./wait.js')

/** Makes the descriptor of a queue's tickets tell of the next news; what the ticket answers, it keeps. */
let armBy

/** A claim on what becomes of one message; collected, it is given up. */
class Ticket {
  #native
  #name
  #waiters
  /** What the core tells once: an answer, or an error. */
  #told = null

  /**
   * Made by `queue.put`.
   *
   * @param {import('./native.js').Ticket} native
   */
  constructor (native, name, waiters) {
    this.#native = native
    this.#name = name
    this.#waiters = waiters
  }

  /** How far the work is, from 0 to 1, as its consumer told. */
  get progress () {
    return this.#told === null ? this.#native.progress() : 1
  }

  /** The result; AXONIC_REJECTED when the message is a dead letter. */
  result (options) {
    return this.#waiters.wait(() => this.#attempt(false), options, undefined, this)
  }

  static {
    armBy = (ticket) => {
      try {
        ticket.#attempt(true)
      } catch {
        // Whoever waits for the ticket is told.
      }
    }
  }

  #attempt (arm) {
    if (this.#told === null) {
      try {
        const answer = this.#native.look(arm)
        if (answer === null) return AGAIN
        this.#told = { value: valueOf(this.#name, answer) }
      } catch (error) {
        if (!FINAL.has(error.code)) throw error
        this.#told = { error }
      }
    }
    if (this.#told.error !== undefined) throw this.#told.error
    return this.#told.value
  }
}

/** Of these nothing more is to come. */
const FINAL = new Set(['AXONIC_REJECTED', 'AXONIC_NOT_FOUND', 'AXONIC_DECODE'])

function valueOf (name, { data, content, dtype, shape }) {
  // The consumer gave none.
  if (content === RAW && data.length === 0) return undefined
  return decode('result in queue', name, content, data, { dtype, shape })
}

inspectable(Ticket, (ticket) => {
  try {
    return { progress: ticket.progress }
  } catch (error) {
    if (!(error instanceof AxonicError)) throw error
    return { closed: true }
  }
})

module.exports = { Ticket, armBy }
