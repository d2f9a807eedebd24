'use strict'

const native = require('./native.js')

// The core's table: number, name and code of every kind.
const errors = Object.freeze(native.errorTable().map((row) => Object.freeze(row)))
const callCodes = native.callCodes()
const codes = new Map(errors.map((row) => [row.name, row.code]))

class AxonicError extends Error {
  constructor (kind, message, options) {
    super(message, options)
    this.kind = kind
    this.code = codes.get(kind)
    if (options?.accepted !== undefined) this.accepted = options.accepted
    if (options?.status !== undefined) this.status = statusOf(options.status)
  }
}
Object.defineProperty(AxonicError.prototype, 'name', { value: 'AxonicError', configurable: true, writable: true })
Object.defineProperty(AxonicError.prototype, 'accepted', { value: 0, configurable: true, writable: true })

/** Why a call failed: the core gives details as JSON. */
function statusOf ({ code, reason, message, retryable, details, origin }) {
  return Object.freeze({ code, reason, message, retryable, details: JSON.parse(details), origin })
}

/** Thrown by a handler: says exactly how the call failed. */
class Status extends Error {
  constructor (code, message, { reason = '', details = null, retryable = code === 'UNAVAILABLE', ...options } = {}) {
    super(message, options)
    if (!callCodes.includes(code)) {
      throw invalid(`a status has the code ${JSON.stringify(code)}; it must be one of ${callCodes.join(', ')}`)
    }
    if (typeof reason !== 'string' || typeof retryable !== 'boolean') {
      throw invalid(`a status has a reason that is a string, and is retryable or not (true or false); given ${typeof reason} and ${typeof retryable}`)
    }
    this.code = code
    this.reason = reason
    this.details = details
    this.retryable = retryable
  }
}
Object.defineProperty(Status.prototype, 'name', { value: 'Status', configurable: true, writable: true })

/** Thrown by a worker: nobody is to get the job any more. */
class Reject extends Error {}
Object.defineProperty(Reject.prototype, 'name', { value: 'Reject', configurable: true, writable: true })

native.setErrorClass(AxonicError)

/** An error about an object: what happened, and what to do about it. */
const failure = (kind, object, happened, remedy) => new AxonicError(kind, `${object}: ${happened}; ${remedy}`)

const invalid = (message, options) => new AxonicError('InvalidArgument', message, options)

/** Calls native code with a caller's arguments: what it says of their types is an AxonicError too. */
function checked (what, call) {
  try {
    return call()
  } catch (error) {
    if (error instanceof AxonicError) throw error
    throw new AxonicError('InvalidArgument', `${what}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

module.exports = { AxonicError, Reject, Status, checked, errors, failure, invalid }
