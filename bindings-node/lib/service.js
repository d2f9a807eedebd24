'use strict'

const { types } = require('node:util')

const { OBJECT, TEXT, check } = require('./check.js')
const { bodyValue, quickly } = require('./body.js')
const { Context, Input, answer, giveUp, numberOf } = require('./context.js')
const { AxonicError, Status, invalid } = require('./error.js')
const internal = require('./internal.js')
const { CONTENT, SEQUENCE, SOURCE, TICKET } = internal
const { tell } = require('./log.js')
const native = require('./native.js')
const { traced } = require('./trace.js')
const values = require('./value.js')
const { AGAIN, DONE, MAX_TIMEOUT, iteratorOf, leave, settled } = require('./wait.js')

// Where the table says what it does of calls, and a flag beside the content type: see `service.rs`.
const METHOD = SOURCE
const ID = SEQUENCE
const ATTRIBUTES = 512

// What native calls answer.
const NOTHING = 0
const END = 2

/** Milliseconds that calls may keep the event loop from turning. */
const MAX_HOLD = 2

class Service {
  #native
  #ends
  /** Handlers by the numbers of their methods. */
  #methods
  #handlers
  #take
  #reply
  #replyScratch
  #input
  #table
  /** What calls need of it. */
  #desk
  /** Calls at work, by their ids. */
  #calls = new Map()
  /** What waits for their streams, by the same ids. */
  #waiting = new Map()
  /** @type {native.Poll | null} */
  #poll = null
  /**
   * The next turn of one that spins.
   *
   * @type {NodeJS.Immediate | undefined}
   */
  #immediate = undefined
  #closed = false

  /**
   * Made by `domain.service`.
   *
   * @param {import('./native.js').Service} service
   */
  constructor (service, name, methods, ends) {
    this.name = name
    this.version = service.version()
    this.#native = service
    this.#ends = ends
    ends.add(this)
    this.#handlers = methods
    this.#methods = Object.keys(methods)
    this.#take = service.bindTake()
    this.#reply = service.bindReply()
    this.#replyScratch = service.bindReplyScratch()
    this.#input = service.bindInput()
    this.#table = internal.getScratch().table
    this.#desk = { name, native: service, inputOf: (context, id) => this.#inputOf(context, id) }
    // Like every server, it keeps the process alive.
    this.#poll = new native.Poll(service.fd(), this.#turn)
    this.#poll.bindHold()(1)
    if (service.spins()) this.#spin()
    else this.#poll.start()
  }

  get closed () {
    return this.#closed
  }

  /** Calls that are at work. */
  get atWork () {
    return this.#closed ? 0 : this.#native.atWork()
  }

  /** Has it called at an address too; the address, with what the system chose. */
  listen (address) {
    check('the address', address, TEXT)
    return this.#native.listen(address)
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#ends.delete(this)
    clearImmediate(this.#immediate)
    this.#poll?.close()
    this.#native.close()
    for (const context of this.#calls.values()) giveUp(context)
    for (const id of [...this.#waiting.keys()]) this.#resume(id)
  }

  [internal.ABANDON] () {
    this.close()
  }

  /** Polls in every turn of the loop; handlers that only wait for promises go on in between. */
  #spin () {
    this.#immediate = setImmediate(() => {
      this.#turn()
      if (!this.#closed) this.#spin()
    })
  }

  /** Begins the calls that have come. */
  #turn = () => {
    const end = performance.now() + MAX_HOLD
    while (!this.#closed && this.#next() !== NOTHING) {
      this.#begin()
      // What has come besides is there in the next turn. Who spins lets handlers go on that are at work.
      if (performance.now() > end || (this.#immediate !== undefined && this.#calls.size > 0)) break
    }
    if (this.#calls.size > 0 && !this.#closed) this.#lookAfter()
  }

  /** Takes a call if one is there. */
  #next () {
    try {
      return this.#take()
    } catch (error) {
      if (!(error instanceof AxonicError && error.kind === 'Disconnected')) throw error
      // The pipe that it listens at has ended, and all that came through it is answered.
      this.close()
      return NOTHING
    }
  }

  /** Those at work hear what came for them. */
  #lookAfter () {
    for (const id of this.#native.givenUp()) {
      const context = this.#calls.get(id)
      if (context !== undefined) giveUp(context)
      this.#resume(id)
    }
    // To look after one may read for others.
    for (let news = this.#native.news(); news.length > 0; news = this.#native.news()) {
      for (const id of news) this.#resume(id)
    }
  }

  /** The streams of a call go on if they can. */
  #resume (id) {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    for (const one of waiting) if (one()) waiting.delete(one)
    if (waiting.size === 0) this.#waiting.delete(id)
  }

  /** Begins the call of row 0. */
  #begin () {
    const table = this.#table
    const number = table[TICKET]
    const flags = table[CONTENT]
    const id = table[ID]
    const method = this.#methods[table[METHOD]]
    table[CONTENT] = flags & ~ATTRIBUTES
    const context = new Context(this.#desk, id, number, method)
    const call = { id, context }
    this.#calls.set(id, context)
    try {
      const params = this.#params(number, method)
      if (flags & ATTRIBUTES) context.attributes = values.unflatten(this.#native.attributes(number))
      // What it streams is made afterwards, and belongs to the same trace.
      traced(context.attributes?.traceparent, () => this.#do(call, params))
    } catch (error) {
      this.#fail(call, error)
    }
  }

  #params (number, method) {
    try {
      return bodyValue(`arguments of ${method} of service`, this.name, (data) => this.#native.fetch(number, data))
    } catch (error) {
      if (error instanceof AxonicError && error.kind === 'Decode') throw new Status('INVALID_ARGUMENT', error.message, { reason: 'arguments' })
      throw error
    }
  }

  /** Has its handler do a call. */
  #do (call, params) {
    const { context } = call
    const handler = this.#handlers[context.method]
    const result = handler.call(this.#handlers, params, context)
    if (typeof result?.then === 'function') {
      Promise.resolve(result).then((result) => this.#finish(call, result)).catch((error) => this.#fail(call, error))
    } else {
      this.#finish(call, result)
    }
  }

  /** A handler has come to something: an answer, or items to stream. */
  #finish (call, result) {
    if (!isStreaming(result)) return this.#answer(call, result)
    this.#stream(call, result).catch((error) => this.#fail(call, error))
  }

  /** Answers a call; who gives nothing answers null. */
  #answer (call, result = null) {
    const number = this.#settle(call)
    if (number < 0) return
    const { method } = call.context
    const cannot = this.#cannot(method)
    try {
      if (quickly(result, cannot, number, this.#reply, this.#replyScratch) !== undefined) return
      const { data, parts } = values.encode(result, cannot)
      this.#native.replyParts(number, data, parts)
    } catch (error) {
      this.#refuse(number, method, error)
    }
  }

  #fail (call, error) {
    const { context } = call
    const isLate = !this.#closed && context.remaining === 0
    // Whoever streams may find out before the others are told.
    if (isLate || isCancelled(error)) giveUp(context)
    const isGivenUp = context.cancelled
    const number = this.#settle(call)
    if (number < 0) return
    this.#refuse(number, context.method, error, isGivenUp)
  }

  /** It is answered; the number that the native half knows it by, -1: it was before. */
  #settle ({ id, context }) {
    const number = answer(context)
    if (number >= 0) this.#calls.delete(id)
    return this.#closed ? -1 : number
  }

  #refuse (number, method, error, isGivenUp = false) {
    try {
      const thrown = thrownOf(error, this.#cannot(method))
      if (!isGivenUp && thrown.status === undefined) {
        const why = isError(error) ? error.stack : String(error)
        tell('warn', `service '${this.name}': a call of ${method} failed: ${why}`)
      }
      this.#native.fail(number, thrown)
    } catch (wrong) {
      // Of a result that is too large the core has told the caller. Otherwise something is wrong with what was thrown, such as a
      // getter that throws, or a status that was changed: the call ends all the same.
      if (!(wrong instanceof AxonicError && wrong.kind === 'Closed')) this.#native.fail(number, UNTOLD)
    }
  }

  #cannot (method) {
    return `service '${this.name}': ${method} cannot answer with`
  }

  /** Streams what a handler generates, as its caller takes it; what the handler returns is the result. */
  async #stream (call, items) {
    const { id, context } = call
    const iterator = iteratorOf(items)
    // One that waits for something else comes to its end only after that: neither its caller nor the next one waits for it.
    context.signal.addEventListener('abort', () => {
      this.#fail(call, context.signal.reason)
      leave(iterator)
    }, { once: true })
    try {
      this.#native.beginStream(numberOf(context))
      for (;;) {
        const { value, done } = await iterator.next()
        if (done) return this.#answer(call, value)
        const { data, parts } = values.encode(value, this.#cannot(context.method))
        await this.#whenPossible(context, id, (number) => this.#native.send(number, data, parts) || AGAIN)
      }
    } catch (error) {
      leave(iterator)
      throw error
    }
  }

  #inputOf (context, id) {
    const { method } = context
    return new Input(() => this.#whenPossible(context, id, (number) => {
      const answer = this.#input(number)
      if (answer === NOTHING) return AGAIN
      if (answer === END) return DONE
      const value = bodyValue(`input of ${method} of service`, this.name, (data) => this.#native.fetch(number, data))
      return { value, done: false }
    }))
  }

  /** Resolves with what `attempt` answers as soon as that is not AGAIN. */
  async #whenPossible (context, id, attempt) {
    const first = attempt(numberOf(context))
    // A generator that always has something would keep everybody else waiting.
    if (first !== AGAIN) return settled(first)
    const { remaining } = context
    // The caller's time may be over before it says so; timers may be early.
    const timer = remaining <= MAX_TIMEOUT ? setTimeout(() => this.#resume(id), remaining + 1) : undefined
    try {
      return await new Promise((resolve, reject) => {
        const waiting = this.#waiting.get(id) ?? new Set()
        this.#waiting.set(id, waiting)
        waiting.add(() => {
          try {
            const result = attempt(numberOf(context))
            if (result === AGAIN) return false
            resolve(result)
          } catch (error) {
            reject(error)
          }
          return true
        })
      })
    } finally {
      clearTimeout(timer)
    }
  }
}

/** What Node's own errors mean: of `AbortSignal.timeout`, and of whatever was aborted. */
const KINDS = Object.freeze({ __proto__: null, TimeoutError: 'Timeout', AbortError: 'Cancelled' })

const UNTOLD = Object.freeze({
  class: '',
  text: '',
  status: Object.freeze({
    code: 'INTERNAL', reason: '', message: 'what the handler threw cannot be told', retryable: false, details: 'null', origin: ''
  })
})

/** Errors of other realms are none of this one's class. */
const isError = (error) => error instanceof Error || types.isNativeError(error)

/** Whether a handler ended since its caller gave it up. */
function isCancelled (error) {
  try {
    return error instanceof AxonicError && error.kind === 'Cancelled'
  } catch {
    return false
  }
}

/** Whether a handler generates items, rather than having one answer. */
function isStreaming (result) {
  if (typeof result !== 'object' || result === null) return false
  if (typeof result[Symbol.asyncIterator] === 'function') return true
  return typeof result.next === 'function' && typeof result[Symbol.iterator] === 'function'
}

/**
 * What a handler threw, as the core wants to know it, which makes of it what the caller is told.
 *
 * @returns {import('./native.js').ThrownParts}
 */
function thrownOf (error, cannot) {
  // What it says itself, or of a call that it made.
  const told = error instanceof Status ? error : error instanceof AxonicError ? error.status : undefined
  if (told !== undefined) {
    const { code, reason, message, retryable, details } = told
    const origin = 'origin' in told ? told.origin : ''
    try {
      const status = { code, reason, message, retryable, details: values.jsonText(details, cannot), origin }
      return { class: reason, text: message, status }
    } catch (wrong) {
      return thrownOf(wrong, cannot)
    }
  }
  if (!isError(error)) return { class: '', text: String(error) }
  if (error instanceof AxonicError) return { class: '', text: error.message, kind: error.kind }
  return { class: classOf(error), text: String(error.message), kind: KINDS[error.name] }
}

/** Its name, where its class or itself says one; else that of its class. */
function classOf (error) {
  const says = Object.hasOwn(error, 'name') || Object.hasOwn(Object.getPrototypeOf(error), 'name')
  return String(says ? error.name : error.constructor?.name ?? error.name)
}

/** Handlers by the names of their methods. */
function checkMethods (methods) {
  check('the methods of a service', methods, OBJECT)
  for (const [name, handler] of Object.entries(methods)) {
    if (typeof handler !== 'function') throw invalid(`method ${name} of a service must be a function`)
  }
}

internal.disposable(Service)
internal.inspectable(Service, (service) => {
  const { name, version, closed, atWork } = service
  return closed ? { name, version, closed } : { name, version, atWork }
})

module.exports = { Service, checkMethods }
