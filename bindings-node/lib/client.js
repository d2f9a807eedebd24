'use strict'

const { leaveAbort, onAbort } = require('./abort.js')
const { TEXT, check, checkOptions, checkWait } = require('./check.js')
const { bodyValue, quickly } = require('./body.js')
const { awaited } = require('./channel.js')
const { AxonicError, failure } = require('./error.js')
const internal = require('./internal.js')
const { TICKET } = internal
const native = require('./native.js')
const { tracing } = require('./trace.js')
const values = require('./value.js')
const { AGAIN, DONE, MAX_TIMEOUT, iteratorOf, leave, limited, rounded, settled, within } = require('./wait.js')


// What native calls answer.
const UNCONNECTED = -1
const NOTHING = 0
const END = 2

/** What a call without arguments carries: in every language, that there are none. */
const NO_PARAMS = Object.freeze({})

/** A call that is under way: somebody waits until an attempt at something answers other than AGAIN. */
class Call {
  #native
  #calls
  #options
  /** Somebody waits, so that the process stays. */
  #isWaited = false
  #timer
  /** @type {{ attempt: () => any, resolve: (value: any) => void, reject: (reason: any) => void } | null} */
  #waiting = null
  /**
   * The same of who streams its input.
   *
   * @type {{ attempt: () => any, resolve: (value: any) => void, reject: (reason: any) => void } | null}
   */
  #sending = null
  /**
   * Why it has ended early.
   *
   * @type {{ reason: any } | null}
   */
  #failed = null
  /** What its input is read by. */
  #input = null
  #told = -1

  constructor (native, calls, id, options = {}, begun = performance.now()) {
    const { timeout, signal } = options
    this.#native = native
    this.#calls = calls
    this.id = id
    this.#options = options
    calls.add(id, this)
    if (timeout <= MAX_TIMEOUT) this.#time(timeout - (performance.now() - begun))
    if (signal !== undefined) onAbort(signal, this.#onAbort)
  }

  /** Resolves with what `attempt` answers as soon as that is not AGAIN; `failed`: the call is over then. */
  wait (attempt) {
    return new Promise((resolve, reject) => {
      this.#waiting = { attempt, resolve, reject }
      this.look()
    })
  }

  /** The same of who streams its input, meanwhile. */
  waitToSend (attempt) {
    return new Promise((resolve, reject) => {
      this.#sending = { attempt, resolve, reject }
      this.look()
    })
  }

  /** Something came for it, or may have. */
  look () {
    if (this.#options.progress !== undefined && this.#failed === null) this.#tellProgress()
    const sending = this.#sending
    if (sending !== null) {
      this.#sending = null
      if (!this.#try(sending)) this.#sending = sending
    }
    const waiting = this.#waiting
    if (waiting !== null) {
      this.#waiting = null
      if (!this.#try(waiting)) this.#waiting ??= waiting
    }
    this.#hold()
  }

  #hold () {
    const isWaited = this.#waiting !== null || this.#sending !== null
    if (isWaited !== this.#isWaited) this.#calls.hold(isWaited)
    this.#isWaited = isWaited
  }

  /**
   * It is over: what was not taken of it is dropped, and its service is told, if it has not answered.
   *
   * @param {{ reason: any } | null} failed why it has ended early
   */
  end (failed = null) {
    if (!this.#calls.delete(this.id)) return
    this.#failed ??= failed
    if (this.#input !== null) leave(this.#input)
    clearTimeout(this.#timer)
    leaveAbort(this.#options.signal, this.#onAbort)
    this.#native.cancel(this.id)
    for (const entry of [this.#sending, this.#waiting]) if (entry !== null) this.#try(entry)
    this.#sending = this.#waiting = null
    this.#hold()
  }

  #try ({ attempt, resolve, reject }) {
    try {
      if (this.#failed !== null) throw this.#failed.reason
      const result = attempt()
      if (result === AGAIN) return false
      resolve(result)
    } catch (error) {
      reject(error)
    }
    return true
  }

  #onAbort = () => this.end({ reason: this.#options.signal.reason })

  /** It is fed from an iterator, or (null) no more. */
  feed (iterator) {
    this.#input = iterator
  }

  /** Once its time is over, the next attempt is told so. */
  #time (left) {
    this.#timer = setTimeout(() => {
      this.look()
      // Timers may be early by a part of a millisecond.
      if (this.#waiting !== null || this.#sending !== null) this.#time(1)
    }, Math.max(left, 0))
  }

  #tellProgress () {
    const told = this.#native.progress(this.id)
    if (told === null || told.fraction === this.#told) return
    this.#told = told.fraction
    try {
      this.#options.progress(told.fraction, told.note)
    } catch (error) {
      // It is as uncaught as any, and keeps no call from its result.
      setImmediate(() => { throw error })
    }
  }
}

/** All calls of a client that are under way, and the descriptor that tells of them. */
class Calls {
  #native
  #all = new Map()
  /** How many of them somebody waits for. */
  #waited = 0
  #poll
  #hold
  #started = false

  constructor (client) {
    this.#native = client
    this.#poll = new native.Poll(client.fd(), this.#onReadable)
    this.#hold = this.#poll.bindHold()
  }

  get size () {
    return this.#all.size
  }

  add (id, call) {
    this.#all.set(id, call)
    if (this.#started) return
    this.#poll.start()
    this.#started = true
  }

  delete (id) {
    return this.#all.delete(id)
  }

  /** Somebody begins, or ends, to wait for a call. */
  hold (isWaited) {
    this.#waited += isWaited ? 1 : -1
    if (this.#waited === (isWaited ? 1 : 0)) this.#hold(isWaited ? 1 : 0)
  }

  close (error) {
    for (const call of this.#all.values()) call.end({ reason: error })
    this.#poll.close()
  }

  #onReadable = () => {
    for (const id of this.#native.news()) this.#all.get(id)?.look()
    if (this.#all.size === 0) {
      // Nobody has waited since the last turn: stop watching until somebody does.
      this.#poll.stop()
      this.#started = false
    }
  }
}

/** Of streams that nobody has any more, the calls are given up. */
const abandoned = new FinalizationRegistry((call) => call.end())

/** Items that a service streams; begun when the first is asked for. */
class CallStream {
  #begin
  /** @type {{ next: () => Promise<any>, end: () => void } | null} */
  #call = null
  /** The end of the line of those who asked for items. */
  #last = Promise.resolve()
  #over = false

  /** @param begin begins the call: its `next` and `end` */
  constructor (begin) {
    this.#begin = begin
  }

  next () {
    const next = this.#last.then(() => this.#next())
    this.#last = next.catch(() => {})
    return next
  }

  /** Gives the call up. */
  return (value) {
    this.#over = true
    this.#call?.end()
    return Promise.resolve({ value, done: true })
  }

  [Symbol.asyncIterator] () {
    return this
  }

  async [internal.ASYNC_DISPOSE] () {
    await this.return()
  }

  async #started () {
    const call = await this.#begin()
    abandoned.register(this, call)
    return call
  }

  async #next () {
    if (this.#over) return DONE
    try {
      const call = this.#call ??= await this.#started()
      // Given up meanwhile.
      if (this.#over) call.end()
      const result = this.#over ? DONE : await call.next()
      this.#over ||= result.done
      return result
    } catch (error) {
      const isGivenUp = this.#over
      this.#over = true
      if (isGivenUp) return DONE
      throw error
    }
  }
}

class Client {
  #native
  #place
  #calls
  #call
  #callScratch
  #result
  #next
  #table
  #take
  /** The numbers that the native half knows methods by. */
  #numbers = new Map()
  /** @type {{ promise: Promise<unknown>, users: number, end: (reason?: unknown) => void } | null} */
  #connecting = null
  #closed = false

  /**
   * Made by `domain.client`.
   *
   * @param {import('./native.js').Client} native
   */
  constructor (native, service, place) {
    this.service = service
    this.#native = native
    this.#place = place
    place.ends.add(this)
    this.#calls = new Calls(native)
    this.#call = native.bindCall()
    this.#callScratch = native.bindCallScratch()
    this.#result = native.bindResult()
    this.#next = native.bindNext()
    this.#take = (data) => native.take(data)
    this.#table = internal.getScratch().table
  }

  get closed () {
    return this.#closed
  }

  /** Calls that are under way. */
  get underWay () {
    return this.#calls.size
  }

  /** The pollable descriptor, readable when something came for a call. */
  get fd () {
    return this.#native.fd()
  }

  /** Calls a method of any name. */
  call (method, params, options) {
    return this.#invoke(this.#numberOf(method), method, params, options)
  }

  /** Calls a method that streams its results. */
  stream (method, params, options) {
    const number = this.#numberOf(method)
    checkCall(options)
    return new CallStream(async () => {
      options?.signal?.throwIfAborted()
      const call = await this.#start(number, method, params, options, true)
      const attempt = () => this.#item(call, method)
      return { next: () => call.wait(attempt), end: () => call.end() }
    })
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#place.ends.delete(this)
    const error = failure('Closed', `client of service '${this.service}'`, 'it is closed', 'open another to go on')
    this.#connecting?.end(error)
    this.#calls.close(error)
    this.#native.close()
  }

  [internal.ABANDON] () {
    this.close()
  }

  #cannot (method) {
    return `client of service '${this.service}': cannot call ${method} with`
  }

  #numberOf (method) {
    let number = this.#numbers.get(method)
    if (number === undefined) {
      check('the name of a method', method, TEXT)
      number = this.#native.method(method)
      this.#numbers.set(method, number)
    }
    return number
  }

  #invoke (number, method, params = NO_PARAMS, options) {
    try {
      if (options !== undefined) {
        checkCall(options)
        if (options.signal?.aborted) throw options.signal.reason
      }
      if (tracing() === undefined && isPlain(options)) {
        const timeout = limited(options?.timeout) ?? -1
        const answer = quickly(params, this.#cannot(method), number, this.#call, this.#callScratch, timeout) ?? UNCONNECTED
        if (answer !== UNCONNECTED) return this.#begun(answer, method, options)
      }
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#slowly(number, method, params, options)
  }

  /** A call was begun the quick way; its result may be there already. */
  #begun (answer, method, options) {
    if (answer !== NOTHING) return settled(this.#value(method))
    return this.#finish(new Call(this.#native, this.#calls, this.#table[TICKET], options), method)
  }

  async #slowly (number, method, params, options) {
    const call = await this.#start(number, method, params, options, false)
    return this.#finish(call, method)
  }

  #finish (call, method) {
    return call.wait(() => {
      let answer
      try {
        answer = this.#result(call.id)
        if (answer === NOTHING) return AGAIN
        return this.#value(method)
      } finally {
        if (answer !== NOTHING) call.end()
      }
    })
  }

  /** The next item of a stream, or its end with the result. */
  #item (call, method) {
    let answer
    try {
      answer = this.#next(call.id)
      if (answer === NOTHING) return AGAIN
      if (answer !== END) return { value: this.#value(method), done: false }
      this.#result(call.id)
      return { value: this.#value(method), done: true }
    } finally {
      if (answer === undefined || answer === END) call.end()
    }
  }

  #value (method) {
    return bodyValue(`result of ${method} of service`, this.service, this.#take)
  }

  /** Begins a call, connecting if need be: waits for nothing else. */
  async #start (number, method, params = NO_PARAMS, options = {}, stream) {
    const begun = performance.now()
    const { signal, input } = options
    const timeout = limited(options.timeout)
    // From here on the arguments must not change any more: JSON text is fixed here, bytes are the caller's.
    const { data, parts } = values.encodeWith(params, this.#cannot(method), tracing(options))
    const left = () => timeout === undefined ? undefined : Math.max(timeout - (performance.now() - begun), 0)
    for (let gone = 0; ; gone++) {
      const id = this.#native.start(number, data, parts, { timeout: left(), input: input !== undefined, stream })
      if (id !== UNCONNECTED) {
        const call = new Call(this.#native, this.#calls, id, options, begun)
        if (input !== undefined) this.#stream(call, method, input)
        return call
      }
      this.#native.mayTryAgain(gone)
      await this.#whenConnected(timeout, left, signal)
    }
  }

  /** Waits in what is left of the time, which was `timeout` in all, until a provider can be called. */
  async #whenConnected (timeout, left, signal) {
    const connecting = this.#connecting ?? this.#connect()
    connecting.users++
    try {
      return await within(connecting.promise, { timeout: left(), signal }, () => notSent(this.service, timeout))
    } finally {
      connecting.users--
      if (connecting.users === 0) connecting.end()
    }
  }

  /** Has a thread connect; one does for all calls, as long as any of them has time. */
  #connect () {
    const stop = new AbortController()
    const thread = this.#native.connect()
    const promise = awaited(thread, this.#place.busy, () => thread.take() || AGAIN, stop.signal)
    const end = (reason) => {
      if (this.#connecting === connecting) this.#connecting = null
      stop.abort(reason)
    }
    const connecting = this.#connecting = { promise, users: 0, end }
    promise.then(end, end)
    return connecting
  }

  /** Streams a call's input, as its service takes it. */
  async #stream (call, method, input) {
    try {
      const iterator = iteratorOf(input)
      call.feed(iterator)
      for (;;) {
        const { value, done } = await iterator.next()
        if (done) break
        const { data, parts } = values.encode(await value, this.#cannot(method))
        await call.waitToSend(() => this.#native.send(call.id, data, parts) || AGAIN)
      }
      call.feed(null)
      await call.waitToSend(() => this.#native.finishInput(call.id))
    } catch (reason) {
      // What comes of an answered call is its result.
      call.end({ reason })
    }
  }
}

/** The error of a call whose time is over before it began, as the core tells it. */
function notSent (service, timeout) {
  const message = `service '${service}': no provider let it connect in ${rounded(timeout)} ms; give it more time, or see what the provider does`
  const status = { code: 'DEADLINE_EXCEEDED', reason: '', message, retryable: true, details: 'null', origin: '' }
  return new AxonicError('Timeout', message, { status })
}

/** Whether a call needs to say no more than how long it may take. */
function isPlain (options) {
  if (options === undefined) return true
  return options.input === undefined && options.content === undefined && options.attributes === undefined
}

function checkCall (options) {
  checkWait(options)
  checkOptions(options)
}

/** A client whose methods are those of its service: `client.query(params, options)`, `client.query.stream(params)`. */
function withMethods (client) {
  const made = new Map()
  const method = (name) => {
    const call = (params, options) => client.call(name, params, options)
    Object.defineProperty(call, 'name', { value: name })
    return Object.assign(call, { stream: (params, options) => client.stream(name, params, options) })
  }
  const get = (target, name) => {
    let value = made.get(name)
    if (value !== undefined) return value
    if (name in target) {
      value = target[name]
      if (typeof value !== 'function' || name === 'constructor') return value
      value = value.bind(target)
    } else {
      // A promise would be resolved by a client with a method `then`.
      if (typeof name !== 'string' || name === 'then' || name === 'toJSON') return undefined
      value = method(name)
    }
    made.set(name, value)
    return value
  }
  return new Proxy(client, { get })
}

internal.disposable(Client)
internal.inspectable(Client, ({ service, closed, underWay }) => closed ? { service, closed } : { service, underWay })

module.exports = { CallStream, Client, withMethods }
