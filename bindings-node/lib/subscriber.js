'use strict'

const { leaveAbort, onAbort } = require('./abort.js')
const { POSITIVE, check } = require('./check.js')
const { failure, invalid } = require('./error.js')
const internal = require('./internal.js')
const { NATIVE, ROW, ROWS, LENGTH, SOURCE, CONTENT, MISSED, SEQUENCE, TICKET, SHARED } = internal
const { BorrowedMessage, Message } = require('./message.js')
const { TENSOR, getTensor, unflatten } = require('./value.js')
const { AGAIN, Iteration, Waiters } = require('./wait.js')

// Flags beside the content type; see `subscriber.rs`.
const CONTENT_MASK = 0xff
const HELD = 256
const ATTRIBUTES = 512
/** Publishers remembered before the table starts over. */
const MAX_SOURCES = 1024

const aligned = (length) => (length + 7) & ~7

class Subscriber {
  #native
  #next
  #nextInto
  #take
  #waiters
  #bytes
  #table
  #sources = new Map()
  #signal
  #onAbort
  #closed = false

  /**
   * Made by `domain.subscriber`.
   *
   * @param {import('./native.js').Subscriber} native
   */
  constructor (native, pattern, busy, signal) {
    const scratch = internal.getScratch()
    this.pattern = pattern
    this.#native = native
    this.#next = native.bindNext()
    this.#nextInto = native.bindNextInto()
    this.#take = native.bindTake()
    this.#bytes = scratch.bytes
    this.#table = scratch.table
    this.#waiters = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => failure(
        'Timeout',
        `subscriber '${pattern}'`,
        `nothing arrived in ${ms} ms`,
        'give a longer timeout'
      )
    }, busy)
    if (signal !== undefined) this.#endWith(signal)
  }

  get [NATIVE] () {
    return this.#native
  }

  /** The subscriber's identity, as the CLI shows it. */
  get id () {
    return this.#native.id()
  }

  get closed () {
    return this.#closed
  }

  /** Messages missed so far. */
  get missed () {
    return this.#native.missed()
  }

  /** Live matched publishers now. */
  get publishers () {
    return this.#native.publishers()
  }

  /** The pollable descriptor, for other event loops. */
  get fd () {
    return this.#native.fd()
  }

  stats () {
    return this.#native.stats()
  }

  /** The next message, or null. */
  tryReceive () {
    if (this.#closed) throw this.#reason()
    return this.#next(1, 0) === 0 ? null : this.#message(0)
  }

  /** Up to `max` messages that are there now. */
  tryReceiveMany (max = ROWS) {
    if (this.#closed) throw this.#reason()
    check('max', max, POSITIVE)
    const messages = []
    while (messages.length < max) {
      const count = this.#next(Math.min(max - messages.length, ROWS), messages.length)
      if (count === 0) break
      this.#batch(count, messages)
    }
    return messages
  }

  /**
   * The next message's bytes into `buffer`; their number, or -1 when there is none.
   *
   * @param {NodeJS.ArrayBufferView} buffer
   */
  tryReceiveInto (buffer) {
    if (this.#closed) throw this.#reason()
    if (!ArrayBuffer.isView(buffer)) throw invalid('the buffer must be a Buffer or typed array')
    return this.#nextInto(buffer)
  }

  receive (options) {
    return this.#waiters.wait(() => this.tryReceive() ?? AGAIN, options)
  }

  /** At least one message, at most `max`. */
  receiveMany (max, options) {
    return this.#waiters.wait(() => {
      const messages = this.tryReceiveMany(max)
      return messages.length === 0 ? AGAIN : messages
    }, options)
  }

  receiveInto (buffer, options) {
    return this.#waiters.wait(() => {
      const length = this.tryReceiveInto(buffer)
      return length < 0 ? AGAIN : length
    }, options)
  }

  /** Shows the next message in place to `callback`; null when there is none. */
  tryBorrow (callback) {
    const result = this.#borrow(callback)
    return result === AGAIN ? null : result
  }

  /** Shows the next message in place to `callback` as soon as there is one. */
  borrow (callback, options) {
    if (typeof callback !== 'function') return Promise.reject(invalid('borrow takes a callback'))
    return this.#waiters.wait(() => this.#borrow(callback), options)
  }

  /** Ends when this process closes the subscriber or its domain; throws when its signal aborts. */
  [Symbol.asyncIterator] () {
    return new Iteration(this.#waiters, () => this.tryReceive())
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    if (this.#signal !== undefined) leaveAbort(this.#signal, this.#onAbort)
    this.#waiters.close(this.#reason())
    this.#native.close()
  }

  #reason () {
    return this.#signal?.aborted
      ? this.#signal.reason
      : failure('Closed', `subscriber '${this.pattern}'`, 'it is closed', 'open another to go on')
  }

  /** The subscriber lives as long as `signal` does not abort. */
  #endWith (signal) {
    this.#signal = signal
    this.#onAbort = () => this.close()
    if (signal.aborted) this.close()
    else onAbort(signal, this.#onAbort)
  }

  #source (number) {
    let source = this.#sources.get(number)
    if (source === undefined) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear()
      source = this.#native.source(number)
      this.#sources.set(number, source)
    }
    return source
  }

  /** The message of row `index`, whose bytes are held, or are the first of the scratch. */
  #message (index) {
    const row = index * ROW
    const table = this.#table
    const length = table[row + LENGTH]
    const flags = table[row + CONTENT]
    // What the table says must be read before the next native call.
    const seen = this.#seen(row)
    if (flags & HELD) {
      const attributes = flags & ATTRIBUTES ? unflatten(this.#native.attributes()) : null
      const data = Buffer.allocUnsafeSlow(length)
      this.#take(data)
      return new Message(seen, data, attributes)
    }
    return new Message(seen, internal.copied(length), null)
  }

  /** What the row that begins at `row` says. */
  #seen (row) {
    const table = this.#table
    const content = table[row + CONTENT] & CONTENT_MASK
    return {
      source: this.#source(table[row + SOURCE]),
      content,
      missed: table[row + MISSED],
      sequence: table[row + SEQUENCE],
      tensor: content === TENSOR ? getTensor(table, row) : null
    }
  }

  /** The messages of the first `count` rows; small ones share one allocation. */
  #batch (count, messages) {
    const table = this.#table
    const last = (count - 1) * ROW
    const packed = table[last + CONTENT] & HELD ? count - 1 : count
    let total = 0
    for (let i = 0; i < packed; i++) total += aligned(table[i * ROW + LENGTH])
    const memory = Buffer.allocUnsafeSlow(total)
    this.#bytes.copy(memory, 0, 0, total)
    for (let i = 0, offset = 0; i < packed; i++) {
      const row = i * ROW
      const length = table[row + LENGTH]
      messages.push(new Message(this.#seen(row), memory.subarray(offset, offset + length), null))
      offset += aligned(length)
    }
    if (packed < count) messages.push(this.#message(packed))
  }

  #borrow (callback) {
    if (typeof callback !== 'function') throw invalid('borrow takes a callback')
    if (this.#closed) throw this.#reason()
    const native = this.#native
    const buffer = native.borrow()
    if (buffer === null) return AGAIN
    const flags = this.#table[CONTENT]
    const ticket = this.#table[TICKET]
    const shared = this.#table[SHARED] === 1
    const release = () => native.release(ticket, buffer, shared)
    let result
    try {
      const seen = this.#seen(0)
      const attributes = flags & ATTRIBUTES ? unflatten(native.borrowedAttributes(ticket)) : null
      result = callback(new BorrowedMessage(seen, Buffer.from(buffer), attributes))
    } catch (error) {
      release()
      throw error
    }
    if (typeof result?.then === 'function') return Promise.resolve(result).finally(release)
    release()
    return result
  }
}

internal.disposable(Subscriber)
internal.inspectable(Subscriber, (subscriber) => {
  const { pattern, closed } = subscriber
  return closed ? { pattern, closed } : { pattern, id: subscriber.id, ...subscriber.stats() }
})

module.exports = { Subscriber }
