'use strict'

const native = require('./native.js')

// The core's table: number, name and code of every kind.
const errors = Object.freeze(native.errorTable().map((row) => Object.freeze(row)))
const codes = new Map(errors.map((row) => [row.name, row.code]))

class AxonicError extends Error {
  constructor (kind, message, options) {
    super(message, options)
    this.kind = kind
    this.code = codes.get(kind)
    if (options?.accepted !== undefined) this.accepted = options.accepted
  }
}
Object.defineProperty(AxonicError.prototype, 'name', { value: 'AxonicError', configurable: true, writable: true })
Object.defineProperty(AxonicError.prototype, 'accepted', { value: 0, configurable: true, writable: true })

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

module.exports = { AxonicError, Reject, checked, errors, failure, invalid }
