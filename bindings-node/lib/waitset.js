'use strict'

const native = require('./native.js')
const { DESCRIPTOR, TIME, check } = require('./check.js')
const { AxonicError, invalid } = require('./error.js')
const internal = require('./internal.js')
const { NATIVE } = internal
const { Publisher } = require('./publisher.js')
const { Subscriber } = require('./subscriber.js')
const { AGAIN, Waiters } = require('./wait.js')

class WaitSet {
  #native = native.WaitSet.create()
  /** Number the core knows a member by: the caller's token, and what must not be collected. */
  #members = new Map()
  #next = 0
  #closed = false
  #waiters = new Waiters({ fd: () => this.#native.fd(), timedOut: () => TIMED_OUT }, new Set())

  get closed () {
    return this.#closed
  }

  get size () {
    return this.#members.size
  }

  get fd () {
    return this.#native.fd()
  }

  /**
   * Reports `token` while the subscriber has messages, or the publisher should try again.
   *
   * @param {any} handle
   */
  add (handle, token = handle) {
    if (handle instanceof Subscriber) {
      const member = /** @type {any} */ (handle)[NATIVE]
      return this.#join(token, handle, (number) => this.#native.addSubscriber(member, number))
    }
    if (handle instanceof Publisher) {
      const member = /** @type {any} */ (handle)[NATIVE]
      return this.#join(token, handle, (number) => this.#native.addPublisher(member, number))
    }
    throw invalid('a wait set takes subscribers and publishers; for others there are addFd and addTimer')
  }

  /** Reports `token` while a descriptor is readable. */
  addFd (fd, token = fd) {
    check('the descriptor', fd, DESCRIPTOR)
    return this.#join(token, null, (number) => this.#native.addFd(fd, number))
  }

  /** Reports `token` every `period` milliseconds. */
  addTimer (period, token) {
    check('the period of a timer', period, TIME)
    return this.#join(token, null, (number) => this.#native.addTimer(period, number))
  }

  /** Forgets everything that was added with `token`. */
  remove (token) {
    for (const [number, member] of this.#members) {
      if (Object.is(member.token, token)) {
        this.#members.delete(number)
        this.#native.remove(number)
      }
    }
    return this
  }

  /** The tokens that are ready now. */
  ready () {
    return this.#native.ready().flatMap((number) => {
      const member = this.#members.get(number)
      return member === undefined ? [] : [member.token]
    })
  }

  /** The tokens that are ready as soon as there are some; none when the time runs out. */
  wait (options) {
    const attempt = () => {
      const tokens = this.ready()
      return tokens.length === 0 ? AGAIN : tokens
    }
    return this.#waiters.wait(attempt, options).catch((error) => {
      if (error === TIMED_OUT) return []
      throw error
    })
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#waiters.close(new AxonicError('Closed', 'the wait set was closed while somebody waited on it'))
    this.#native.close()
    this.#members.clear()
  }

  #join (token, handle, add) {
    const number = this.#next++
    add(number)
    this.#members.set(number, { token, handle })
    return this
  }
}

const TIMED_OUT = Symbol('axonic.timedOut')

internal.disposable(WaitSet)
internal.inspectable(WaitSet, ({ size, closed }) => ({ size, closed }))

module.exports = { WaitSet }
