'use strict'

const { DESCRIPTOR, LIST, check, checkOptions, checkWait } = require('./check.js')
const { AxonicError, failure, invalid } = require('./error.js')
const internal = require('./internal.js')
const { LENGTH, CONTENT } = internal
const { bytesOf, isBinary } = require('./value.js')
const { AGAIN, Iteration, Waiters, limited } = require('./wait.js')

/** What a native send answers when a part of the message is kept for want of room. */
const PART = 1

/** @type {number[]} */
const NONE = []
Object.freeze(NONE)

class Channel {
  #native
  #channels
  #send
  #receive
  #table
  /** Those who wait for messages, and for room: each by a descriptor of its own. */
  #receiving
  #sending
  /** Whether somebody waits until what was kept has gone out. */
  #flushing = false
  #closed = false

  /**
   * Made by `domain.connect`, `domain.pipe` and listeners.
   *
   * @param {import('./native.js').Channel} native
   */
  constructor (native, { busy, channels }) {
    this.address = native.address()
    this.can = Object.freeze({ ...native.can(), maxMessage: native.can().maxMessage ?? null })
    this.maxMessage = native.maxMessage()
    this.#native = native
    this.#channels = channels
    channels.add(this, native)
    this.#send = native.bindSend()
    this.#receive = native.bindReceive()
    this.#table = internal.getScratch().table
    const late = (happened, remedy) => failure('Timeout', `channel '${this.address}'`, happened, remedy)
    this.#receiving = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => late(`no message came in ${ms} ms`, 'give it more time, or see that the other end sends')
    }, busy)
    this.#sending = new Waiters({
      fd: () => native.sendFd(),
      timedOut: (ms) => late(`no room for ${ms} ms, the other end is behind`, 'give it more time, or send less')
    }, busy)
  }

  get closed () {
    return this.#closed
  }

  /** The pollable descriptor, readable when something may have come. */
  get fd () {
    return this.#native.fd()
  }

  get peer () {
    const { pid = null, uid = null, gid = null, address = null } = this.#native.peer()
    return Object.freeze({ pid, uid, gid, address })
  }

  stats () {
    return this.#native.stats()
  }

  /** Sends now; where there is no room it throws AXONIC_WOULD_BLOCK. */
  send (data, options) {
    const [bytes, descriptors] = outgoing(data, options)
    if (this.#sending.isWaiting(0)) {
      const happened = 'earlier messages still wait for room'
      throw failure('WouldBlock', `channel '${this.address}'`, happened, 'use sendAsync to get in line')
    }
    this.#attempt(bytes, descriptors, 0)
  }

  /** Sends as soon as there is room. */
  async sendAsync (data, options) {
    const [bytes, descriptors] = outgoing(data, options)
    await this.#sending.wait(() => this.#attempt(bytes, descriptors, 1), options)
  }

  /** Sends one after another as soon as there is room, which costs less than one by one. */
  async sendMany (all, options) {
    check('the messages', all, LIST)
    const messages = Array.from(all, (data) => bytesOf(outgoing(data)[0]))
    let sent = 0
    const attempt = () => {
      while (sent < messages.length) {
        sent += this.#native.sendMany(sent === 0 ? messages : messages.slice(sent))
        if (sent === messages.length) return this.#keepFlushing()
        // Only who tries in vain to send one is told of room.
        if (this.#attempt(messages[sent], NONE, 1) === AGAIN) return AGAIN
        sent++
      }
    }
    try {
      await this.#sending.wait(attempt, options)
    } catch (error) {
      // A part of the last one may be kept.
      if (!this.#closed) this.#keepFlushing()
      if (!(error instanceof AxonicError) || sent === 0) throw error
    }
    return sent
  }

  /** Waits until all that was sent has gone out. */
  async flush (options) {
    await this.#sending.wait(() => this.#native.flush() ? undefined : AGAIN, options)
  }

  /** Says that nothing more will be sent, after all that was. */
  async finish (options) {
    await this.#sending.wait(() => this.#native.finish() ? undefined : AGAIN, options)
  }

  /** The next message, or null. */
  tryReceive () {
    return this.#receive() === 0 ? null : this.#message()
  }

  /** The next message; AXONIC_DISCONNECTED when the other end has ended and all is received. */
  receive (options) {
    return this.#receiving.wait(() => this.tryReceive() ?? AGAIN, options)
  }

  /** Ends when the other end has ended and all is received. */
  [Symbol.asyncIterator] () {
    return new Iteration(this.#receiving, () => this.tryReceive(), 'AXONIC_DISCONNECTED')
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#channels.delete(this)
    const error = failure('Closed', `channel '${this.address}'`, 'it is closed', 'open another to go on')
    for (const waiters of [this.#receiving, this.#sending]) waiters.close(error)
    this.#native.close()
  }

  #attempt (bytes, descriptors, quiet) {
    const answer = descriptors.length === 0
      ? this.#send(bytes, quiet)
      : this.#native.sendDescriptors(bytes, descriptors, quiet === 1)
    if (answer === false) return AGAIN
    if (answer === PART) this.#keepFlushing()
  }

  /** Sees that what was kept goes out, also if nothing more is sent. */
  #keepFlushing () {
    // What goes wrong is told by the next call, or by the end of the channel.
    if (this.#flushing || this.#isFlushed()) return
    this.#flushing = true
    this.flush().catch(() => {}).finally(() => { this.#flushing = false })
  }

  #isFlushed () {
    try {
      return this.#native.flush()
    } catch {
      return true
    }
  }

  /** The message of row 0. */
  #message () {
    const length = this.#table[LENGTH]
    const flags = this.#table[CONTENT]
    if (flags === 0) return { data: internal.copied(length), descriptors: NONE }
    const data = Buffer.allocUnsafeSlow(length)
    return { data, descriptors: this.#native.take(data) }
  }
}

/** A message as the native half takes it: its bytes, and descriptors to pass with it. */
function outgoing (data, options) {
  if (!isBinary(data)) throw invalid('a channel carries bytes: send a Buffer, an ArrayBuffer or a typed array')
  checkOptions(options)
  const descriptors = options?.descriptors ?? NONE
  for (const fd of descriptors) check('a descriptor', fd, DESCRIPTOR)
  return [ArrayBuffer.isView(data) ? data : bytesOf(data), descriptors]
}

/** The end of a pair of pipes that a child is to have. */
class ChildPipe {
  #native
  #closed = false

  /**
   * Made by `domain.pipe`.
   *
   * @param {import('./native.js').ChildPipe} native
   */
  constructor (native) {
    this.#native = native
  }

  get closed () {
    return this.#closed
  }

  /** What a child connects to that has them behind its three standard streams. */
  get address () {
    return 'pipe:3,4'
  }

  /** For `stdio` of `child_process.spawn`: to read from, to write to. */
  get descriptors () {
    return this.#native.descriptors()
  }

  close () {
    this.#closed = true
    this.#native.close()
  }
}

class Listener {
  #native
  #place
  #waiters
  #closed = false

  /**
   * Made by `domain.listen`.
   *
   * @param {import('./native.js').Listener} native
   */
  constructor (native, place) {
    this.address = native.address()
    this.#native = native
    this.#place = place
    place.channels.add(this, native)
    this.#waiters = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => failure('Timeout', `listener '${this.address}'`, `nobody connected in ${ms} ms`, 'give it more time')
    }, place.busy)
  }

  get closed () {
    return this.#closed
  }

  /** The pollable descriptor, readable when somebody may have connected. */
  get fd () {
    return this.#native.fd()
  }

  /** The next channel that somebody opened, or null. */
  tryAccept () {
    const native = this.#native.accept()
    return native === null ? null : new Channel(native, this.#place)
  }

  /** The next channel that somebody opens. */
  accept (options) {
    return this.#waiters.wait(() => this.tryAccept() ?? AGAIN, options)
  }

  /** Ends when this process closes the listener or its domain. */
  [Symbol.asyncIterator] () {
    return new Iteration(this.#waiters, () => this.tryAccept())
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#place.channels.delete(this)
    this.#waiters.close(failure('Closed', `listener '${this.address}'`, 'it is closed', 'listen again to go on'))
    this.#native.close()
  }
}

/**
 * Opens a channel to whoever listens at an address.
 *
 * @param {import('./native.js').Domain} native
 */
async function connect (native, address, options, place) {
  const { timeout, signal, ...settings } = options
  checkWait(options)
  if (signal?.aborted) throw signal.reason
  const connecting = native.connect(address, limited(timeout), settings)
  return new Channel(await awaited(connecting, place.busy, () => connecting.take() ?? AGAIN, signal), place)
}

/** What a thread of the native half comes to. */
async function awaited (elsewhere, busy, attempt, signal) {
  const waiters = new Waiters({ fd: () => elsewhere.fd() }, busy)
  try {
    return await waiters.wait(attempt, { signal })
  } finally {
    waiters.close()
    elsewhere.giveUp()
  }
}

for (const Class of [Channel, ChildPipe, Listener]) internal.disposable(Class)
internal.inspectable(Channel, (channel) => {
  const { address, closed } = channel
  return closed ? { address, closed } : { address, peer: channel.peer, ...channel.stats() }
})
internal.inspectable(ChildPipe, ({ address, closed }) => ({ address, closed }))
internal.inspectable(Listener, ({ address, closed }) => ({ address, closed }))

module.exports = { Channel, ChildPipe, Listener, awaited, connect }
