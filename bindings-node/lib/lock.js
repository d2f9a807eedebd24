'use strict'

// Locks: one object for each name, which the tasks of this thread share.

const { AxonicError, failure } = require('./error.js')
const internal = require('./internal.js')
const { ASYNC_DISPOSE, DISPOSE } = internal
const { AGAIN, Waiters } = require('./wait.js')

// What an attempt answers: see `lock.rs`.
const NOTHING = 0
const OWNER_DIED = 2

/** A lock, or a permit of one, that a task has until it releases it. */
class Held {
  #core
  #release
  #released = false

  /** Made by locks only. */
  constructor (core, release, ownerDied) {
    this.#core = core
    this.#release = release
    this.ownerDied = ownerDied
  }

  release () {
    if (this.#released) throw failure('Closed', this.#core.what, 'this was released already', 'acquire it again')
    this.#released = true
    this.#release()
  }

  static {
    /** At the end of a block: by now it may have been released, or closed. */
    const end = (held) => {
      try {
        if (!held.#released) held.release()
      } catch (error) {
        if (!(error instanceof AxonicError && error.kind === 'Closed')) throw error
      }
    }
    const hidden = { configurable: true, writable: true }
    Object.defineProperty(this.prototype, DISPOSE, { ...hidden, value () { end(this) } })
    Object.defineProperty(this.prototype, ASYNC_DISPOSE, { ...hidden, async value () { end(this) } })
    internal.inspectable(this, (held) => {
      return { lock: held.#core.what, ownerDied: held.ownerDied, released: held.#released }
    })
  }
}

/** Tasks that want the same of a lock, in the order in which they came. */
class Line {
  #waiters
  #attempt
  #once
  #together

  /**
   * @param {import('./native.js').LockLine} native
   * @param {Core} core
   * @param {(answer: number) => any} made what somebody gets
   * @param together whether what comes comes for all in line
   */
  constructor (native, core, made, together = false) {
    const [attempt, once] = [native.bindAttempt(), native.bindAttemptOnce()]
    this.#attempt = () => {
      const answer = attempt()
      return answer === NOTHING ? AGAIN : made(answer)
    }
    this.#once = () => {
      const answer = once()
      return answer === NOTHING ? undefined : made(answer)
    }
    this.#together = together
    this.#waiters = core.waiters(native, { left: () => native.giveUp(), together })
  }

  wait (options) {
    // What came before this one did is for those before it.
    if (this.#together) this.#waiters.look()
    return this.#waiters.wait(this.#attempt, options)
  }

  /** Does not wait, and so is not let in before those who do, unless there is enough for all. */
  once () {
    return !this.#together && this.#waiters.isWaiting(0) ? undefined : this.#once()
  }
}

/** What every lock has: its native half, those who wait for it, and its end. */
class Core {
  closed = false
  #native
  #busy
  #ended
  /** Until it is closed, or they are let go. */
  #waiters = new Set()

  /**
   * @param native its native half
   * @param {string} what it is, as errors say it
   * @param place `{ busy, ended }`: the domain's set of waiting `Waiters`, and how it hears that the lock is closed
   */
  constructor (native, what, { busy, ended }) {
    this.what = what
    this.#native = native
    this.#busy = busy
    this.#ended = ended
  }

  /**
   * For those who wait for it by a descriptor; see `Waiters`.
   *
   * @param {import('./native.js').LockLine | import('./native.js').Party} native
   */
  waiters (native, more = {}) {
    const timedOut = (ms) => {
      const { kind, message } = native.timedOut(ms)
      return new AxonicError(kind, message)
    }
    const waiters = new Waiters({ ...more, fd: () => native.fd(), timedOut }, this.#busy)
    this.#waiters.add(waiters)
    return waiters
  }

  letGo (waiters) {
    this.#waiters.delete(waiters)
    waiters.close()
  }

  close () {
    if (this.closed) return
    this.closed = true
    this.#ended()
    this.#native.close()
    const error = failure('Closed', this.what, 'it is closed', 'open another to go on')
    for (const waiters of this.#waiters) waiters.close(error)
  }
}

/** Those who want what is to be released again. */
function lineOf (native, core, release) {
  return new Line(native, core, (answer) => new Held(core, release, answer === OWNER_DIED))
}

/** What every lock shows. */
class Lock {
  #core

  /** @param {Core} core */
  constructor (name, core) {
    this.name = name
    this.#core = core
  }

  get closed () {
    return this.#core.closed
  }

  close () {
    this.#core.close()
  }
}

class Mutex extends Lock {
  #native
  #line

  /**
   * Made by `domain.mutex`.
   *
   * @param {import('./native.js').Mutex} native
   */
  constructor (native, name, place) {
    const core = new Core(native, `mutex '${name}'`, place)
    super(name, core)
    this.#native = native
    this.#line = lineOf(native.line(), core, native.bindRelease())
  }

  /** Whether a task of this thread has it. */
  get locked () {
    return this.#native.locked()
  }

  acquire (options) {
    return this.#line.wait(options)
  }

  tryAcquire () {
    return this.#line.once()
  }
}

class RwLock extends Lock {
  #readers
  #writers

  /**
   * Made by `domain.rwlock`.
   *
   * @param {import('./native.js').RwLock} native
   */
  constructor (native, name, place) {
    const core = new Core(native, `rwlock '${name}'`, place)
    super(name, core)
    const release = native.bindRelease()
    this.#readers = lineOf(native.readers(), core, release)
    this.#writers = lineOf(native.writers(), core, release)
  }

  read (options) {
    return this.#readers.wait(options)
  }

  write (options) {
    return this.#writers.wait(options)
  }

  tryRead () {
    return this.#readers.once()
  }

  tryWrite () {
    return this.#writers.once()
  }
}

class Semaphore extends Lock {
  #native
  #line

  /**
   * Made by `domain.semaphore`.
   *
   * @param {import('./native.js').Semaphore} native
   */
  constructor (native, name, place, permits) {
    const core = new Core(native, `semaphore '${name}'`, place)
    super(name, core)
    this.permits = permits
    this.#native = native
    this.#line = lineOf(native.line(), core, native.bindRelease())
  }

  /** How many permits nobody alive has. */
  get available () {
    return this.#native.available()
  }

  acquire (options) {
    return this.#line.wait(options)
  }

  tryAcquire () {
    return this.#line.once()
  }
}

class Event extends Lock {
  #native
  #line

  /**
   * Made by `domain.event`.
   *
   * @param {import('./native.js').Event} native
   */
  constructor (native, name, place, autoReset) {
    const core = new Core(native, `event '${name}'`, place)
    super(name, core)
    this.autoReset = autoReset
    this.#native = native
    this.#line = new Line(native.line(), core, () => null, !autoReset)
  }

  get isSet () {
    return this.#native.isSet()
  }

  set () {
    this.#native.set()
  }

  clear () {
    this.#native.clear()
  }

  async wait (options) {
    await this.#line.wait(options)
  }

  tryWait () {
    return this.#line.once() !== undefined
  }
}

class Barrier extends Lock {
  #native
  #core
  /** Those who wait here. */
  #parties = new Set()

  /**
   * Made by `domain.barrier`.
   *
   * @param {import('./native.js').Barrier} native
   */
  constructor (native, name, place, parties) {
    const core = new Core(native, `barrier '${name}'`, place)
    super(name, core)
    this.parties = parties
    this.#native = native
    this.#core = core
  }

  /** How many have arrived and wait, in all processes. */
  get waiting () {
    // A handle more than parties might be one too many.
    const [party = this.#native] = this.closed ? [] : this.#parties
    return party.waiting()
  }

  /** Whether it is the last to arrive. */
  async wait (options) {
    const party = this.#native.party()
    const waiters = this.#core.waiters(party)
    this.#parties.add(party)
    let arrived = false
    try {
      return await waiters.wait(() => {
        const leads = party.attempt()
        arrived = true
        return leads ?? AGAIN
      }, options)
    } catch (error) {
      // Its time is over, unless all have arrived meanwhile.
      if (arrived && !party.withdraw()) return false
      throw error
    } finally {
      this.#parties.delete(party)
      this.#core.letGo(waiters)
      party.leave()
    }
  }
}

for (const Class of [Mutex, RwLock, Semaphore, Event, Barrier]) internal.disposable(Class)

/** What is shown of a lock: its name, and these of its members while it is open. */
function inspectable (Class, ...members) {
  internal.inspectable(Class, (lock) => {
    const { name, closed } = lock
    return closed ? { name, closed } : { name, ...Object.fromEntries(members.map((member) => [member, lock[member]])) }
  })
}

inspectable(Mutex, 'locked')
inspectable(RwLock)
inspectable(Semaphore, 'permits', 'available')
inspectable(Event, 'autoReset', 'isSet')
inspectable(Barrier, 'parties', 'waiting')

module.exports = { Barrier, Event, Held, Mutex, RwLock, Semaphore }
