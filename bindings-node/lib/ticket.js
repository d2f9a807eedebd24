'use strict'

const { AxonicError } = require('./error.js')
const { inspectable } = require('./internal.js')
const { RAW, decode } = require('./value.js')
const { AGAIN } = require('./wait.js')

/** Makes the descriptor of a queue's tickets tell of the next news; what the ticket answers, it keeps. */
let armBy

/** A claim on what becomes of one message; collected, it is given up. */
class Ticket {
  #native
  #name
  #waiters
  /**
   * What the core told: an answer, or an error.
   *
   * @type {{ value?: any, error?: AxonicError } | null}
   */
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
    this.#told ??= this.#ask(arm)
    if (this.#told === null) return AGAIN
    if (this.#told.error !== undefined) throw this.#told.error
    return this.#told.value
  }

  #ask (arm) {
    try {
      const answer = this.#native.look(arm)
      return answer === null ? null : { value: valueOf(this.#name, answer) }
    } catch (error) {
      if (error instanceof AxonicError && FINAL.has(error.kind)) return { error }
      throw error
    }
  }
}

/** Of these nothing more is to come. */
const FINAL = new Set(['Rejected', 'NotFound', 'Decode'])

/** @param {import('./native.js').Answer} answer */
function valueOf (name, answer) {
  const { data, content, dtype, shape } = answer
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
