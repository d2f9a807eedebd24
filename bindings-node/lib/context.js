'use strict'

const { NUMBER, TEXT, check } = require('./check.js')
const { AxonicError } = require('./error.js')
const { inspectable } = require('./internal.js')
const { tell } = require('./log.js')
const { DONE, MAX_TIMEOUT } = require('./wait.js')

const LEVEL = { fits: (value) => ['debug', 'info', 'warn'].includes(value), must: 'debug, info or warn' }

// What only the service does with a context.

/** What the native half knows the call by. */
let numberOf
/** Nobody waits any more. */
let giveUp
/** It is answered; the number it had, or -1 if it was answered before. */
let answer

/** What a handler knows about its call. */
class Context {
  /** What its service shares with its calls. */
  #desk
  #id
  /** The native half knows the call by this; -1: it is answered. */
  #number
  /** @type {AbortController | null} */
  #controller = null
  #timer
  /** @type {AxonicError | null} */
  #givenUp = null
  /** @type {AsyncIterableIterator<unknown> | null} */
  #input = null

  static {
    numberOf = (context) => context.#number
    giveUp = (context) => context.#giveUp()
    answer = (context) => {
      const number = context.#number
      context.#number = -1
      clearTimeout(context.#timer)
      return number
    }
  }

  /** Made by services only. */
  constructor (desk, id, number, method) {
    this.#desk = desk
    this.#id = id
    this.#number = number
    this.method = method
    this.attributes = null
  }

  get service () {
    return this.#desk.name
  }

  /** Which trace the call belongs to. */
  get traceparent () {
    return this.attributes?.traceparent ?? null
  }

  /** Milliseconds that the caller still waits; Infinity: as long as it takes. */
  get remaining () {
    if (this.#number < 0) return 0
    return this.#desk.native.remaining(this.#number) ?? Infinity
  }

  get caller () {
    const { pid = null, uid = null, gid = null, address = null } = this.#desk.native.peer(this.#number)
    return Object.freeze({ pid, uid, gid, address })
  }

  /** Whether nobody waits for the answer any more. */
  get cancelled () {
    return this.#givenUp !== null || (this.#number >= 0 && this.remaining === 0)
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal () {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.#givenUp !== null) this.#controller.abort(this.#givenUp)
      else this.#watchTime()
    }
    return this.#controller.signal
  }

  /** What the caller streams, in order. */
  get input () {
    this.#input ??= this.#desk.inputOf(this, this.#id)
    return this.#input
  }

  /** Tells the caller how far the work is, from 0 to 1. */
  progress (fraction, note = '') {
    check('fraction', fraction, NUMBER)
    check('note', note, TEXT)
    if (this.#number >= 0) this.#desk.native.progress(this.#number, fraction, note)
  }

  /** Tells the program's logger something about the call. */
  log (level, message) {
    check('level', level, LEVEL)
    check('message', message, TEXT)
    tell(level, `service '${this.service}': ${this.method}: ${message}`)
  }

  #giveUp () {
    if (this.#givenUp !== null || this.#number < 0) return
    const text = `call of ${this.method} of service '${this.service}': its caller waits for it no more`
    this.#givenUp = new AxonicError('Cancelled', text)
    clearTimeout(this.#timer)
    this.#controller?.abort(this.#givenUp)
  }

  /** The caller's time may be over before it says so. */
  #watchTime () {
    const { remaining } = this
    if (this.#number < 0 || remaining > MAX_TIMEOUT) return
    this.#timer = setTimeout(() => {
      // Timers may be early by a part of a millisecond.
      if (this.remaining === 0) this.#giveUp()
      else this.#watchTime()
    }, remaining)
    this.#timer.unref()
  }
}

/** What a caller streams, as it comes. */
class Input {
  #take
  #over = false

  /** @param take resolves with the next item, or with the end */
  constructor (take) {
    this.#take = take
  }

  async next () {
    if (this.#over) return DONE
    const result = await this.#take()
    this.#over = result.done
    return result
  }

  return (value) {
    this.#over = true
    return Promise.resolve({ value, done: true })
  }

  [Symbol.asyncIterator] () {
    return this
  }
}

inspectable(Context, ({ service, method, cancelled, attributes }) => {
  return attributes === null ? { service, method, cancelled } : { service, method, cancelled, attributes }
})

module.exports = { Context, Input, answer, giveUp, numberOf }
