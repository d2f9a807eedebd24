'use strict'

const { COUNT, check } = require('./check.js')
const { failure, invalid } = require('./error.js')
const internal = require('./internal.js')
const { AGAIN, Iteration, Waiters } = require('./wait.js')

const closedRing = (end, name) => failure('Closed', `ring ${end} '${name}'`, 'it is closed', 'open another to go on')

class RingProducer {
  #native
  #ends
  #push
  #waiters
  #closed = false

  /**
   * Made by `domain.ringProducer`.
   *
   * @param {import('./native.js').RingProducer} native
   */
  constructor (native, name, busy, ends) {
    this.name = name
    this.#native = native
    this.#ends = ends
    ends.add(this)
    this.#push = native.bindPush()
    this.#waiters = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => failure(
        'Timeout',
        `ring '${name}'`,
        `the consumer left no room for ${ms} ms`,
        'give a longer timeout or a larger capacity'
      )
    }, busy)
  }

  get closed () {
    return this.#closed
  }

  get fd () {
    return this.#native.fd()
  }

  stats () {
    return this.#native.stats()
  }

  /**
   * Pushes bytes; a full ring throws AXONIC_WOULD_BLOCK.
   *
   * @param {NodeJS.ArrayBufferView} data
   */
  push (data) {
    if (!ArrayBuffer.isView(data)) throw invalid('a ring carries bytes: push a Buffer or typed array')
    if (this.#waiters.isWaiting(0)) {
      const happened = 'earlier messages still wait for room'
      throw failure('WouldBlock', `ring '${this.name}'`, happened, 'use pushAsync to get in line')
    }
    this.#push(data, 0)
  }

  /**
   * Pushes bytes as soon as there is room.
   *
   * @param {NodeJS.ArrayBufferView} data
   */
  pushAsync (data, options) {
    if (!ArrayBuffer.isView(data)) return Promise.reject(invalid('a ring carries bytes: push a Buffer or typed array'))
    return this.#waiters.wait(() => (this.#push(data, 1) === false ? AGAIN : undefined), options)
  }

  /** Lends `length` bytes of the ring itself to `callback`; pushed when that returns. */
  reserve (length, callback) {
    check('the length', length, COUNT)
    if (typeof callback !== 'function') throw invalid('reserve takes a callback')
    const native = this.#native
    const buffer = native.reserve(length)
    const finish = (result) => {
      native.finish(buffer, true)
      return result
    }
    const give = (error) => {
      native.finish(buffer, false)
      throw error
    }
    let result
    try {
      result = callback(new Uint8Array(buffer))
    } catch (error) {
      return give(error)
    }
    return typeof result?.then === 'function' ? Promise.resolve(result).then(finish, give) : finish(result)
  }

  close () {
    if (this.#closed) return
    this.#native.close()
    this.#closed = true
    this.#ends.delete(this)
    this.#waiters.close(closedRing('producer', this.name))
  }

  [internal.ABANDON] () {
    if (this.#native.inUse()) this.#waiters.close(closedRing('producer', this.name))
    else this.close()
  }
}

class RingConsumer {
  #native
  #ends
  #pop
  #popInto
  #bytes
  #table
  #waiters
  #closed = false

  /**
   * Made by `domain.ringConsumer`.
   *
   * @param {import('./native.js').RingConsumer} native
   */
  constructor (native, name, busy, ends) {
    const scratch = internal.getScratch()
    this.name = name
    this.#native = native
    this.#ends = ends
    ends.add(this)
    this.#pop = native.bindPop()
    this.#popInto = native.bindPopInto()
    this.#bytes = scratch.bytes
    this.#table = scratch.table
    this.#waiters = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => failure('Timeout', `ring '${name}'`, `nothing arrived in ${ms} ms`, 'give a longer timeout')
    }, busy)
  }

  get closed () {
    return this.#closed
  }

  get fd () {
    return this.#native.fd()
  }

  stats () {
    return this.#native.stats()
  }

  /** The next message, or null. */
  tryPop () {
    const length = this.#pop()
    if (length < 0) return null
    if (length > this.#bytes.length) {
      const data = Buffer.allocUnsafeSlow(length)
      this.#popInto(data)
      return data
    }
    return internal.copied(length)
  }

  /**
   * The next message into `buffer`; its length, or -1 when there is none.
   *
   * @param {NodeJS.ArrayBufferView} buffer
   */
  tryPopInto (buffer) {
    if (!ArrayBuffer.isView(buffer)) throw invalid('the buffer must be a Buffer or typed array')
    const length = this.#popInto(buffer)
    if (length > buffer.byteLength) {
      const happened = `the next message has ${length} bytes and the buffer ${buffer.byteLength}`
      throw failure('TooLarge', `ring '${this.name}'`, happened, 'it is kept, take it with a larger buffer')
    }
    return length
  }

  /** The next message; AXONIC_DISCONNECTED when the producer ended and all is read. */
  pop (options) {
    return this.#waiters.wait(() => this.tryPop() ?? AGAIN, options)
  }

  popInto (buffer, options) {
    return this.#waiters.wait(() => {
      const length = this.tryPopInto(buffer)
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
    return this.#waiters.wait(() => this.#borrow(callback), options)
  }

  /** Ends when the producer ended and all is read. */
  [Symbol.asyncIterator] () {
    return new Iteration(this.#waiters, () => this.tryPop(), 'AXONIC_DISCONNECTED')
  }

  close () {
    if (this.#closed) return
    this.#native.close()
    this.#closed = true
    this.#ends.delete(this)
    this.#waiters.close(closedRing('consumer', this.name))
  }

  [internal.ABANDON] () {
    if (this.#native.inUse()) this.#waiters.close(closedRing('consumer', this.name))
    else this.close()
  }

  #borrow (callback) {
    if (typeof callback !== 'function') throw invalid('borrow takes a callback')
    const native = this.#native
    const buffer = native.borrow()
    if (buffer === null) return AGAIN
    const shared = this.#table[internal.SHARED] === 1
    const finish = () => native.finish(buffer, shared)
    let result
    try {
      result = callback(new Uint8Array(buffer))
    } catch (error) {
      finish()
      throw error
    }
    if (typeof result?.then === 'function') return Promise.resolve(result).finally(finish)
    finish()
    return result
  }
}

for (const Class of [RingProducer, RingConsumer]) {
  internal.disposable(Class)
  internal.inspectable(Class, (end) => {
    const { name, closed } = end
    return closed ? { name, closed } : { name, ...end.stats() }
  })
}

module.exports = { RingConsumer, RingProducer }
