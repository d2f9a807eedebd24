'use strict'

const { COUNT, OBJECT, POSITIVE, TIME, check, checkOptions, checkWait } = require('./check.js')
const { Disk } = require('./disk.js')
const { AxonicError, checked, failure, invalid } = require('./error.js')
const internal = require('./internal.js')
const { LENGTH, CONTENT, TICKET, ROWS, PRIORITY, ATTEMPT, TOKEN_HIGH, TOKEN_LOW } = internal
const { Job } = require('./job.js')
const { Ticket, armBy } = require('./ticket.js')
const { tracing } = require('./trace.js')
const values = require('./value.js')
const { CONTENTS, JSON_TEXT, RAW, TENSOR } = values
const { AGAIN, Iteration, Waiters, settled } = require('./wait.js')
const { QueueWorker } = require('./worker.js')

// Flags beside the content type: see `queue.rs` and `job.rs`.
const QUIET = 256
const HELD = 256
const ATTRIBUTES = 512
const CONTENT_MASK = 0xff

/** Bytes of a message that every queue can hold. */
const SMALL = 128

/** The line of those who wait for room; whoever waits for a result has a line of its own. */
const PUTTING = 0

/** What most puts answer. */
const PUT = Object.freeze({ duplicate: false, ticket: null })
const DUPLICATE = Object.freeze({ duplicate: true, ticket: null })

class Queue {
  #native
  #ends
  #put
  #putScratch
  #get
  #take
  #bytes
  #table
  #disk
  /** What jobs need of it. */
  #desk
  /** Those who wait for room, for room or a result, and for messages: each by a descriptor of its own. */
  #producing
  #asking
  #consuming
  /** How an error about a value begins. */
  #cannot
  /** Whether it holds values to a schema. */
  #isStrict
  #closed = false

  /**
   * Made by `domain.queue`.
   *
   * @param {import('./native.js').Queue} native
   */
  constructor (native, name, isStrict, busy, ends) {
    const scratch = internal.getScratch()
    this.name = name
    this.#native = native
    this.#cannot = `queue '${name}': cannot put`
    this.#isStrict = isStrict
    this.#ends = ends
    ends.add(this)
    this.#put = native.bindPut()
    this.#putScratch = native.bindPutScratch()
    this.#get = native.bindGet()
    this.#take = native.bindTake()
    this.#bytes = scratch.bytes
    this.#table = scratch.table
    this.#disk = new Disk(native, name)
    this.#desk = { name, native, ack: native.bindAck(), disk: this.#disk }
    this.#producing = new Waiters({ fd: () => native.roomFd(), timedOut: (ms) => this.#noRoom(ms) }, busy)
    this.#asking = new Waiters({
      fd: () => native.ticketFd(),
      timedOut: (ms, line) => (line === PUTTING ? this.#noRoom(ms) : this.#late(`no result in ${ms} ms`)),
      arm
    }, busy)
    this.#consuming = new Waiters({
      fd: () => native.fd(),
      timedOut: (ms) => this.#late(`nothing arrived in ${ms} ms`)
    }, busy)
  }

  get closed () {
    return this.#closed
  }

  /** The pollable descriptor, for other event loops. */
  get fd () {
    return this.#native.fd()
  }

  stats () {
    return this.#native.stats()
  }

  /** Puts now; a full queue throws AXONIC_WOULD_BLOCK. */
  put (value, options) {
    checkOptions(options)
    const waiters = this.#line(options)
    if (waiters.isWaiting(PUTTING)) {
      const happened = 'earlier messages still wait for room'
      throw failure('WouldBlock', `queue '${this.name}'`, happened, 'use putAsync to get in line')
    }
    return this.#attempt(value, tracing(options), 0)
  }

  /** Puts as soon as there is room, and waits for the disk as the queue says. */
  async putAsync (value, options) {
    checkOptions(options)
    const begun = performance.now()
    this.#disk.check(options?.durable)
    const receipt = await this.#whenRoom(value, tracing(options))
    await this.#onDisk(begun, 1, options)
    return receipt
  }

  /**
   * Puts one after another as soon as there is room, and waits for the disk once. What is wrong with a value is told
   * before any is put.
   *
   * @param {import('../index.js').PutManyOptions & { dedupId?: string }} options
   */
  async putMany (all, options = {}) {
    checkOptions(options)
    if (options.dedupId !== undefined) throw invalid('dedupId is for one message; put messages that have one by putAsync')
    this.#disk.check(options.durable)
    if (typeof all?.[Symbol.iterator] !== 'function') throw invalid('putMany takes an array, or what else can be iterated')
    const begun = performance.now()
    const traced = tracing(options)
    const payloads = Array.from(all, (value) => values.encodeWith(value, this.#cannot, traced))
    for (const { data, parts } of payloads) if (this.#isDoubtful(data, parts)) this.#native.check(data, parts)
    if (payloads.length === 0) return this.#putNone(options)
    const { priority, delay, ttl, result } = options
    const isPlain = (priority ?? delay ?? ttl ?? result) === undefined
    const tickets = []
    let unwritten
    const putNext = () => {
      const payload = payloads[tickets.length]
      try {
        return isPlain ? this.#putPlain(payload) : this.#putParts(payload, options)
      } catch (error) {
        if (!(error instanceof AxonicError && error.kind === 'NotDurable')) throw error
        unwritten = error
        return PUT
      }
    }
    const attempt = () => {
      while (tickets.length < payloads.length) {
        const receipt = putNext()
        if (receipt === AGAIN) return AGAIN
        tickets.push(receipt.ticket)
      }
    }
    await this.#line(options).wait(attempt, options, undefined, PUTTING).catch((error) => {
      throw error instanceof AxonicError ? partly(error, tickets.length, payloads.length) : error
    })
    await this.#onDisk(begun, payloads.length, options)
    // By now it may be there, but a ticket was lost.
    if (unwritten !== undefined && (result || !this.#disk.isAwaited(options.durable))) {
      throw this.#notDurable(unwritten, payloads.length)
    }
    return result ? tickets : undefined
  }

  /** Whether the queue may refuse it: it is held to a schema, or is not small. */
  #isDoubtful (data, parts) {
    return this.#isStrict || data.length > SMALL || parts.attributes !== undefined
  }

  /** Waits neither in line nor for the disk. */
  #putNone (options) {
    checkWait(options)
    if (this.#closed) throw this.#whenClosed()
    return options.result ? [] : undefined
  }

  /**
   * Waits, in what is left of the time, until what was put is on the disk, if that is to be.
   *
   * @param {import('../index.js').DurableOptions} options
   */
  async #onDisk (begun, count, options = {}) {
    const { timeout, signal, durable } = options
    if (!this.#disk.isAwaited(durable)) return
    const left = timeout === undefined ? undefined : Math.max(timeout - (performance.now() - begun), 0)
    await this.#disk.wait({ timeout: left, signal }).catch((error) => {
      throw error instanceof AxonicError ? this.#notDurable(error, count) : error
    })
  }

  #notDurable (cause, accepted) {
    const what = accepted === 1 ? 'the message is' : `all ${accepted} messages are`
    const happened = `${what} accepted, do not put that again, but not known to be on the disk`
    return new AxonicError('NotDurable', `${happened}: ${cause.message}`, { cause, accepted })
  }

  /** The next message, or null. */
  tryGet (options) {
    return this.#next(leaseOf(options))
  }

  async get (options) {
    const lease = leaseOf(options)
    return this.#consuming.wait(() => this.#next(lease) ?? AGAIN, options)
  }

  /** At least one message, at most `max`. */
  async getMany (max = ROWS, options = undefined) {
    check('max', max, POSITIVE)
    const lease = leaseOf(options)
    return this.#consuming.wait(() => {
      const jobs = this.#nextMany(max, lease)
      return jobs.length === 0 ? AGAIN : jobs
    }, options)
  }

  /** Ends when this process closes the queue or its domain. */
  [Symbol.asyncIterator] () {
    return new Iteration(this.#consuming, () => this.#next(-1))
  }

  worker (options, work) {
    if (typeof options === 'function') [options, work] = [undefined, options]
    leaseOf(options)
    return new QueueWorker(this, this.#native.maxAttempts(), options, work)
  }

  /** What can be delivered now, without taking it. */
  peek (max = ROWS) {
    check('max', max, COUNT)
    return this.#native.peek(max).map((peeked) => this.#peeked(peeked))
  }

  deadLetters (max = ROWS) {
    check('max', max, COUNT)
    return this.#native.deadLetters(max).map((peeked) => this.#peeked(peeked))
  }

  /**
   * Takes all messages away that nobody has, or all dead letters; answers how many.
   *
   * @param {{ dead?: boolean }} options
   */
  purge (options = {}) {
    checkOptions(options)
    return this.#native.purge(options.dead ?? false)
  }

  /** Lets dead letters be delivered again; answers how many. */
  redrive (max = Number.MAX_SAFE_INTEGER) {
    check('max', max, COUNT)
    return this.#native.redrive(max)
  }

  /** Waits until everything that was put and settled before is on the disk. */
  async sync (options) {
    if (this.#closed) throw this.#whenClosed()
    await this.#disk.wait(options)
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#ends.delete(this)
    for (const waiters of [this.#producing, this.#asking, this.#consuming]) waiters.close(this.#whenClosed())
    this.#native.close()
  }

  [internal.ABANDON] () {
    this.close()
  }

  #whenClosed () {
    return failure('Closed', `queue '${this.name}'`, 'it is closed', 'open another to go on')
  }

  #late (happened) {
    return failure('Timeout', `queue '${this.name}'`, happened, 'give a longer timeout')
  }

  #noRoom (ms) {
    const [happened, remedy] = this.#native.whyFull()
    return failure('Timeout', `queue '${this.name}'`, `no room for ${ms} ms: ${happened}`, `give a longer timeout, or ${remedy}`)
  }

  /** Puts with a ticket are made by a handle of their own. */
  #line (options) {
    return options?.result ? this.#asking : this.#producing
  }

  async #whenRoom (value, options) {
    const waiters = this.#line(options)
    if (!waiters.isWaiting(PUTTING) && !options?.signal?.aborted) {
      const receipt = this.#attempt(value, options, QUIET)
      if (receipt !== AGAIN) return settled(receipt)
    }
    // In line, the payload must not change any more: JSON text is fixed here, bytes are the caller's.
    const payload = values.encodeWith(value, this.#cannot, options)
    return waiters.wait(() => this.#putParts(payload, options), options, undefined, PUTTING)
  }

  /** Puts if there is room; the receipt. Where there is none it throws, or answers AGAIN if flags say QUIET. */
  #attempt (value, options, flags) {
    if (options !== undefined) return this.#putParts(values.encodeWith(value, this.#cannot, options), options, flags)
    if (values.isBytes(value)) return this.#done(this.#put(value, RAW | flags))
    if (values.isBinary(value) || values.asTensor(value, this.#cannot) !== undefined) {
      return this.#putParts(values.encode(value, this.#cannot), {}, flags)
    }
    const text = values.jsonText(value, this.#cannot)
    // A UTF-16 unit takes three bytes of UTF-8 at most.
    if (text.length * 3 <= this.#bytes.length) {
      return this.#done(this.#putScratch(this.#bytes.write(text), JSON_TEXT | flags))
    }
    return this.#done(this.#put(Buffer.from(text), JSON_TEXT | flags))
  }

  #done (answer) {
    return answer === false ? AGAIN : PUT
  }

  /** Puts what may have no more to it than bytes, which is quick. */
  #putPlain (payload) {
    const { data, parts } = payload
    if (parts.content === TENSOR || parts.attributes !== undefined) return this.#putParts(payload)
    return this.#done(this.#put(data, parts.content | QUIET))
  }

  /**
   * @param payload what `encode` answers
   * @param {import('../index.js').PutOptions} options
   */
  #putParts (payload, options = {}, flags = QUIET) {
    const { data, parts } = payload
    const { priority, delay, ttl, dedupId, result } = options
    const settings = { priority, delay, ttl, dedupId, result }
    let duplicate = null
    try {
      duplicate = checked('put', () => this.#native.putParts(data, parts, settings, flags === QUIET))
    } finally {
      // To find no room may have silenced news of results.
      if (duplicate === null && result) this.#asking.look(PUTTING)
    }
    if (duplicate === null) return AGAIN
    if (duplicate) return DUPLICATE
    const ticket = this.#native.ticket()
    return ticket === null ? PUT : { duplicate, ticket: new Ticket(ticket, this.name, this.#asking) }
  }

  /** Takes the next message; null when there is none. */
  #next (lease) {
    if (this.#closed) throw this.#whenClosed()
    return this.#get(lease) === 0 ? null : this.#job()
  }

  /** An error behind some jobs is told by the next call, or by the dead letters. */
  #nextMany (max, lease) {
    const jobs = []
    try {
      while (jobs.length < max) {
        const job = this.#next(lease)
        if (job === null) break
        jobs.push(job)
      }
    } catch (error) {
      if (jobs.length === 0) throw error
    }
    return jobs
  }

  /** The job of row 0. */
  #job () {
    const table = this.#table
    const number = table[TICKET]
    const length = table[LENGTH]
    const flags = table[CONTENT]
    const content = flags & CONTENT_MASK
    // What the table says must be read before the next native call.
    const seen = {
      content,
      priority: table[PRIORITY],
      attempt: table[ATTEMPT],
      high: table[TOKEN_HIGH],
      low: table[TOKEN_LOW],
      tensor: content === TENSOR ? values.getTensor(table, 0) : null
    }
    const data = flags & HELD ? Buffer.allocUnsafeSlow(length) : internal.copied(length)
    if (flags & HELD) this.#take(number, data)
    const attributes = flags & ATTRIBUTES ? values.unflatten(this.#native.attributes(number)) : null
    return new Job(this.#desk, number, seen, data, attributes)
  }

  /** @param {import('./native.js').PeekedMessage} peeked */
  #peeked ({ data, content, priority, attempts, reason, reasonText }) {
    // What a tensor's bytes mean is not kept with it.
    const opaque = content === RAW || content === TENSOR
    const value = opaque ? data : values.decode('message in queue', this.name, content, data, null)
    return { value, data, content: CONTENTS[content], priority, attempts, reason: reason ?? null, reasonText }
  }
}

/** The error of a call that had put some of its values. */
function partly (cause, accepted, total) {
  const text = `${cause.message}; ${accepted} of ${total} values were put, the first ones`
  return new AxonicError(cause.kind, text, { cause, accepted })
}

/** Whoever waits for room arms the descriptor by trying; for tickets, one does it for all. */
function arm (lines) {
  for (const line of lines) {
    if (line instanceof Ticket) return armBy(line)
  }
}

/**
 * Milliseconds; -1 without an end.
 *
 * @param {{ lease?: number }} [options]
 */
function leaseOf (options) {
  if (options === undefined) return -1
  check('options', options, OBJECT)
  const { lease } = options
  if (lease === undefined) return -1
  check('lease', lease, TIME)
  return lease
}

internal.disposable(Queue)
internal.inspectable(Queue, (queue) => {
  const { name, closed } = queue
  return closed ? { name, closed } : { name, ...queue.stats() }
})

module.exports = { Queue }
