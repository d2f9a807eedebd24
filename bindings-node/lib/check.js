'use strict'

// Whether what a caller gives is what an option or argument takes.

const { inspect } = require('node:util')
const { invalid } = require('./error.js')

const TIME = { fits: (value) => typeof value === 'number' && value >= 0, must: 'milliseconds, a number that is not negative' }
const SIGNAL = {
  fits: (value) => typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function',
  must: 'an AbortSignal'
}

/** What was given, and of what type it is. */
function shown (value) {
  const text = inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 40 })
  return value === null || value === undefined ? text : `${text} (${typeof value})`
}

/** Throws unless `value` is of this kind; `name` is what the error calls it. */
function check (name, value, { fits, must }) {
  if (!fits(value)) throw invalid(`${name} is ${shown(value)}; it must be ${must}`)
}

/**
 * Throws unless a wait can be made so.
 *
 * @param {import('../index.js').WaitOptions} options
 */
function checkWait ({ timeout, signal } = {}) {
  if (timeout !== undefined) check('timeout', timeout, TIME)
  if (signal !== undefined) check('signal', signal, SIGNAL)
}

module.exports = { checkWait }
