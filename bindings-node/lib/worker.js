'use strict'

const { POSITIVE, check } = require('./check.js')
const { AxonicError, Reject, invalid } = require('./error.js')
const { ASYNC_DISPOSE, DISPOSE } = require('./internal.js')
const { tell } = require('./log.js')
const { traced } = require('./trace.js')

const codeOf = (error) => error instanceof AxonicError ? error.code : undefined

// The pauses before the next attempt at a job, in milliseconds: each is twice as long as the one before.
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 10_000

/** Calls a function with each job of a queue, several at a time. */
class QueueWorker {
  #queue
  /** Attempts at a job that the queue allows; 0: any number. */
  #maxAttempts
  #work
  #lease
  #stopping = new AbortController()
  #loops

  /**
   * Made by `queue.worker`.
   *
   * @param {import('../index.js').WorkerOptions} options
   */
  constructor (queue, maxAttempts, options = {}, work) {
    const { concurrency = 1, lease } = options
    if (typeof work !== 'function') throw invalid('worker takes a function')
    check('concurrency', concurrency, POSITIVE)
    this.#queue = queue
    this.#maxAttempts = maxAttempts
    this.#work = work
    this.#lease = lease
    // What ends a loop early is as uncaught as any failure, unless `stop` is waited for.
    this.#loops = Promise.all(Array.from({ length: concurrency }, () => this.#run()))
  }

  /** Takes no more jobs; resolves when those that were begun are finished. */
  async stop () {
    this.#stopping.abort()
    await this.#loops
  }

  async #run () {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      let job
      try {
        job = await this.#queue.get({ signal, lease: this.#lease })
      } catch (error) {
        if (error === signal.reason || codeOf(error) === 'AXONIC_CLOSED') return
        // One that does not satisfy the schema is a dead letter now.
        if (codeOf(error) === 'AXONIC_DECODE') continue
        this.#stopping.abort()
        throw error
      }
      await this.#do(job)
    }
  }

  async #do (job) {
    try {
      const result = await traced(job.attributes?.traceparent, () => this.#work(job))
      if (!job.settled) await job.ackAsync(result)
    } catch (error) {
      try {
        if (!(error instanceof Reject)) this.#failed(job, error)
        else if (!job.settled) job.reject(error.message)
      } catch (late) {
        this.#tell(job, late)
        job[DISPOSE]()
      }
    }
  }

  /** Gives the job back for later; after the last attempt it is a dead letter that says why. */
  #failed (job, error) {
    this.#tell(job, error)
    if (job.settled) return
    if (job.attempt === this.#maxAttempts) job.reject(String(error))
    else job.nack({ delay: Math.min(FIRST_PAUSE * 2 ** (job.attempt - 1), LONGEST_PAUSE) })
  }

  #tell (job, error) {
    const why = error instanceof Error ? error.stack : String(error)
    tell('warn', `queue '${this.#queue.name}': attempt ${job.attempt} at a job failed: ${why}`)
  }
}

const hidden = { configurable: true, writable: true }
Object.defineProperty(QueueWorker.prototype, ASYNC_DISPOSE, { ...hidden, value () { return this.stop() } })

module.exports = { QueueWorker }
