'use strict'

// What the files of the facade share and users never see.

const native = require('./native.js')

/** Key of a handle's native object. */
const NATIVE = Symbol('axonic.native')
/** Key of how a domain closes a ring end or a queue. */
const ABANDON = Symbol('axonic.abandon')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

// The scratch's table: see `memory.rs`. Calls are synchronous, so one serves every handle of this
// thread.
const ROW = 17
const ROWS = 256
const LENGTH = 0
const SOURCE = 1
const CONTENT = 2
const MISSED = 3
const SEQUENCE = 4
const TICKET = 5
const SHARED = 6
const DTYPE = 7
const DIMENSIONS = 8
// Of a job it says in places that jobs have no use for: see `job.rs`.
const PRIORITY = SOURCE
const ATTEMPT = MISSED
const TOKEN_LOW = SEQUENCE
const TOKEN_HIGH = SHARED

let scratch
/** The bytes of the scratch that were copied last. */
let view = new Uint8Array()

/**
 * Open channels and listeners of a domain, to be closed with it. They are held weakly, since who serves others has many come
 * and go: one that is dropped is closed when it is collected.
 */
class Channels {
  /** Their native halves, by weak references. */
  #open = new Map()
  #references = new WeakMap()
  #collected = new FinalizationRegistry((reference) => this.#end(reference))

  add (channel, native) {
    const reference = new WeakRef(channel)
    this.#open.set(reference, native)
    this.#references.set(channel, reference)
    this.#collected.register(channel, reference, reference)
  }

  delete (channel) {
    const reference = this.#references.get(channel)
    this.#open.delete(reference)
    this.#collected.unregister(reference)
  }

  close () {
    for (const reference of this.#open.keys()) {
      reference.deref()?.close()
      // It may be collected, and nobody have been told so far.
      this.#end(reference)
    }
  }

  #end (reference) {
    this.#open.get(reference)?.close()
    this.#open.delete(reference)
  }
}

/** The scratch of this thread, made at the first open. */
function getScratch () {
  if (scratch === undefined) {
    const bytes = Buffer.allocUnsafeSlow(256 * 1024)
    const table = new Float64Array(ROW * ROWS)
    scratch = { bytes, table, native: new native.Scratch(bytes, table) }
  }
  return scratch
}

/** A copy of the first bytes of the scratch. */
function copied (length) {
  const data = Buffer.allocUnsafe(length)
  // To make a view costs more than to copy a small message, and most have the length of the one before.
  if (view.length !== length) view = new Uint8Array(scratch.bytes.buffer, 0, length)
  data.set(view)
  return data
}

/** `using` and `await using` for a handle that has `close`. */
function disposable (Class) {
  const hidden = { configurable: true, writable: true }
  Object.defineProperty(Class.prototype, DISPOSE, { ...hidden, value () { this.close() } })
  Object.defineProperty(Class.prototype, ASYNC_DISPOSE, { ...hidden, async value () { this.close() } })
}

/** What `util.inspect` shows: the class, what matters, and whether it is closed. */
function inspectable (Class, describe) {
  Object.defineProperty(Class.prototype, INSPECT, {
    configurable: true,
    writable: true,
    value (depth, options, inspect) {
      if (depth < 0) return options.stylize(`[${Class.name}]`, 'special')
      return `${Class.name} ${inspect(describe(this), options)}`
    }
  })
}

module.exports = {
  ABANDON,
  Channels,
  ATTEMPT,
  DISPOSE,
  ASYNC_DISPOSE,
  NATIVE,
  ROW,
  ROWS,
  LENGTH,
  SOURCE,
  CONTENT,
  MISSED,
  SEQUENCE,
  TICKET,
  SHARED,
  DTYPE,
  DIMENSIONS,
  PRIORITY,
  TOKEN_HIGH,
  TOKEN_LOW,
  copied,
  disposable,
  getScratch,
  inspectable
}
