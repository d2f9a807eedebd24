'use strict'

const { COUNT, LIST, check, checkWait } = require('./check.js')
const { failure, invalid } = require('./error.js')
const internal = require('./internal.js')
const { NATIVE, ROW, ROWS, LENGTH, CONTENT, TICKET } = internal
const { tracing } = require('./trace.js')
const values = require('./value.js')
const { JSON_TEXT, RAW, TENSOR } = values
const { AGAIN, Waiters } = require('./wait.js')

/** Flag beside the content type: "no room now" is an answer, not an error. See `publisher.rs`. */
const QUIET = 256

// The lines at a publisher: for room, and for subscribers.
const SENDING = 0
const ATTENDING = 1

class Publisher {
  #native
  #send
  #sendTensor
  #sendScratch
  #sendPacked
  #bytes
  #table
  #waiters
  /** How an error about a value begins. */
  #cannot
  #closed = false

  /**
   * Made by `domain.publisher`.
   *
   * @param {import('./native.js').Publisher} native
   */
  constructor (native, topic, busy) {
    const scratch = internal.getScratch()
    this.topic = topic
    this.#cannot = `publisher '${topic}': cannot publish`
    this.#native = native
    this.#send = native.bindSend()
    this.#sendTensor = native.bindSendTensor()
    this.#sendScratch = native.bindSendScratch()
    this.#sendPacked = native.bindSendPacked()
    this.#bytes = scratch.bytes
    this.#table = scratch.table
    this.#waiters = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms, line) => (line === SENDING ? this.#noRoom(ms) : this.#tooFew(ms))
    }, busy)
  }

  get [NATIVE] () {
    return this.#native
  }

  /** The publisher's identity, as messages carry it. */
  get id () {
    return this.#native.id()
  }

  get closed () {
    return this.#closed
  }

  /** Live matched subscribers now. */
  get subscribers () {
    return this.#native.subscribers()
  }

  /** The pollable descriptor, readable when a publish that found no room should be tried again. */
  get fd () {
    return this.#native.fd()
  }

  stats () {
    return this.#native.stats()
  }

  publish (value, options) {
    this.#overtake()
    this.#publish(value, tracing(options), 0)
  }

  publishAsync (value, options) {
    try {
      checkWait(options)
      options = tracing(options)
      if (!this.#waiters.isWaiting(SENDING) && !options?.signal?.aborted && this.#publish(value, options, QUIET)) {
        return this.#waiters.wait(nothing)
      }
      // In line, the payload must not change any more: JSON text is fixed here, bytes are the caller's.
      const { data, parts } = values.encodeWith(value, this.#cannot, options)
      return this.#waiters.wait(() => (this.#native.sendParts(data, parts, true) ? undefined : AGAIN), options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  publishMany (all) {
    this.#overtake()
    this.#publishMany(Array.from(all), false)
  }

  publishManyAsync (all, options) {
    try {
      const fixed = Array.from(all)
      // In line, it is not called where it was.
      const trace = tracing()
      return this.#waiters.wait(() => (this.#publishMany(fixed, true, trace) ? undefined : AGAIN), options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Lends shared memory to `callback` and publishes it when that returns. */
  loan (spec, callback) {
    const parsed = parseSpec(spec, callback, `publisher '${this.topic}': cannot lend`)
    this.#overtake()
    const lent = this.#lend(parsed, false)
    const commit = (result) => {
      this.#commit(lent, false)
      return result
    }
    const result = this.#fill(lent, callback)
    return typeof result?.then === 'function' ? Promise.resolve(result).then(commit, this.#abort(lent)) : commit(result)
  }

  /**
   * `loan` that waits for room: for the memory, and again for its place in the ring.
   *
   * @param {import('../index.js').WaitOptions} options
   */
  async loanAsync (spec, callback, options = {}) {
    checkWait(options)
    const { timeout, signal } = options
    const parsed = parseSpec(spec, callback, `publisher '${this.topic}': cannot lend`)
    const end = performance.now() + (timeout ?? Infinity)
    const lent = await this.#waiters.wait(() => this.#lend(parsed, true) ?? AGAIN, { timeout, signal })
    const abort = this.#abort(lent)
    const result = await Promise.resolve(this.#fill(lent, callback)).catch(abort)
    const left = timeout === undefined ? undefined : Math.max(end - performance.now(), 0)
    await this.#waiters.wait(() => (this.#commit(lent, true) ? undefined : AGAIN), { timeout: left, signal }).catch(abort)
    return result
  }

  /** Resolves when `count` subscribers would hear the next message. */
  async waitForSubscribers (count, options) {
    check('count', count, COUNT)
    const attempt = () => (this.#native.heardBy(count) ? undefined : AGAIN)
    return this.#waiters.wait(attempt, options, undefined, ATTENDING)
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#waiters.close(this.#whenClosed())
    this.#native.close()
  }

  #noRoom (ms) {
    const happened = `a subscriber left no room for ${ms} ms (overflow "block")`
    return failure('Timeout', `publisher '${this.topic}'`, happened, 'give a longer timeout or a larger capacity')
  }

  #tooFew (ms) {
    const happened = `only ${this.subscribers} subscribers came in ${ms} ms`
    return failure('Timeout', `publisher '${this.topic}'`, happened, 'start them or give a longer timeout')
  }

  #whenClosed () {
    return failure('Closed', `publisher '${this.topic}'`, 'it is closed', 'open another to go on')
  }

  /** Messages in line keep their order: nothing may pass them. */
  #overtake () {
    if (this.#waiters.isWaiting(SENDING)) {
      const happened = 'earlier messages still wait for room'
      throw failure('WouldBlock', `publisher '${this.topic}'`, happened, 'use publishAsync to get in line')
    }
  }

  /** Sends if there is room; false if there is none and flags say QUIET. */
  #publish (value, options, flags) {
    if (options?.attributes !== undefined || options?.content !== undefined) {
      const { data, parts } = values.encodeWith(value, this.#cannot, options)
      return this.#native.sendParts(data, parts, flags !== 0)
    }
    if (values.isBytes(value)) return this.#send(value, RAW | flags) !== false
    const tensor = values.asTensor(value, this.#cannot)
    if (tensor !== undefined) {
      values.putTensor(this.#table, 0, tensor)
      return this.#sendTensor(tensor.data, flags) !== false
    }
    if (values.isBinary(value)) return this.#send(values.bytesOf(value), RAW | flags) !== false
    const text = values.jsonText(value, this.#cannot)
    // A UTF-16 unit takes three bytes of UTF-8 at most.
    if (text.length * 3 <= this.#bytes.length) {
      return this.#sendScratch(this.#bytes.write(text), JSON_TEXT | flags) !== false
    }
    return this.#send(Buffer.from(text), JSON_TEXT | flags) !== false
  }

  #publishMany (all, quiet, options = tracing()) {
    if (options === undefined && this.#pack(all)) return this.#sendPacked(all.length, quiet ? 1 : 0) !== false
    return this.#native.sendMany(all.map((value) => values.encodeWith(value, this.#cannot, options)), quiet)
  }

  /** Packs values into the scratch; false when they do not fit. */
  #pack (all) {
    if (all.length > ROWS) return false
    let at = 0
    for (let i = 0; i < all.length; i++) {
      const length = this.#packOne(all[i], i * ROW, at)
      if (length < 0) return false
      this.#table[i * ROW + LENGTH] = length
      at += length
    }
    return true
  }

  /** Packs one value at `at` and describes it in the row that begins at `row`; its length, or -1. */
  #packOne (value, row, at) {
    const table = this.#table
    const room = this.#bytes.length - at
    const tensor = values.asTensor(value, this.#cannot)
    if (tensor !== undefined || values.isBinary(value)) {
      const data = values.bytesOf(tensor === undefined ? value : tensor.data)
      if (data.length > room) return -1
      this.#bytes.set(data, at)
      table[row + CONTENT] = tensor === undefined ? RAW : TENSOR
      if (tensor !== undefined) values.putTensor(table, row, tensor)
      return data.length
    }
    const text = values.jsonText(value, this.#cannot)
    if (text.length * 3 > room) return -1
    table[row + CONTENT] = JSON_TEXT
    return this.#bytes.write(text, at)
  }

  /** Takes a loan; null when quiet and full. */
  #lend ({ bytes, parts }, quiet) {
    const buffer = this.#native.loan(bytes, quiet)
    return buffer === null ? null : { ticket: this.#table[TICKET], buffer, bytes, parts, gone: false }
  }

  /** Has a loan written; an exception gives it back. */
  #fill (lent, callback) {
    const { buffer, bytes, parts } = lent
    try {
      const raw = parts.content === RAW
      return callback(raw ? new Uint8Array(buffer) : values.shaped(buffer, 0, bytes, parts.dtype, parts.shape))
    } catch (error) {
      return this.#abort(lent)(error)
    }
  }

  /** Publishes a loan; false when quiet and full. Otherwise, and after an error, it is gone. */
  #commit (lent, quiet) {
    lent.gone = true
    const done = this.#native.commit(lent.ticket, lent.buffer, lent.parts, quiet)
    lent.gone = done
    return done
  }

  /** Gives a loan back, if it is still there, and throws `error`. */
  #abort (lent) {
    return (error) => {
      if (!lent.gone) this.#native.abort(lent.ticket, lent.buffer)
      throw error
    }
  }
}

const nothing = () => undefined

/** `nbytes`, or `{ shape, dtype }`; either with `attributes`. */
function parseSpec (spec, callback, cannot) {
  if (typeof callback !== 'function') throw invalid('loan takes a callback')
  if (typeof spec === 'number') return { bytes: lengthOf(spec), parts: { content: RAW } }
  if (typeof spec !== 'object' || spec === null) {
    throw invalid('a loan is described by a number of bytes or by { shape, dtype }')
  }
  const parts = { content: RAW }
  if (spec.attributes !== undefined) parts.attributes = values.flatten(spec.attributes)
  if (spec.shape === undefined) return { bytes: lengthOf(spec.bytes), parts }
  check('shape', spec.shape, LIST)
  const { dtype, shape, bytes } = values.tensorOf(undefined, Array.from(spec.shape), spec.dtype ?? 'uint8', cannot)
  return { bytes, parts: { ...parts, content: TENSOR, dtype, shape } }
}

function lengthOf (bytes) {
  check('the length of a loan', bytes, COUNT)
  return bytes
}

internal.disposable(Publisher)
internal.inspectable(Publisher, (publisher) => {
  const { topic, closed } = publisher
  return closed ? { topic, closed } : { topic, id: publisher.id, ...publisher.stats() }
})

module.exports = { Publisher }
