'use strict'

// Whether what a caller gives is what an option or argument takes.

const { inspect } = require('node:util')
const { invalid } = require('./error.js')

const MOST = Number.MAX_SAFE_INTEGER
const COUNT = { fits: (value) => Number.isSafeInteger(value) && value >= 0, must: `a whole number from 0 to ${MOST}` }
const POSITIVE = { fits: (value) => Number.isSafeInteger(value) && value > 0, must: `a whole number from 1 to ${MOST}` }
const DESCRIPTOR = { fits: (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 31, must: `a whole number from 0 to ${2 ** 31 - 1}` }
const NUMBER = { fits: (value) => typeof value === 'number', must: 'a number' }
const TIME = { fits: (value) => typeof value === 'number' && value >= 0, must: 'milliseconds, a number that is not negative' }
const FLAG = { fits: (value) => typeof value === 'boolean', must: 'true or false' }
const TEXT = { fits: (value) => typeof value === 'string', must: 'a string' }
const LIST = { fits: (value) => typeof value === 'object' && typeof value?.[Symbol.iterator] === 'function', must: 'an array' }
const OBJECT = { fits: (value) => typeof value === 'object' && value !== null, must: 'an object' }
const FUNCTION = { fits: (value) => typeof value === 'function', must: 'a function' }
const STREAM = {
  fits: (value) => OBJECT.fits(value) && typeof (value[Symbol.asyncIterator] ?? value[Symbol.iterator]) === 'function',
  must: 'an array, a generator, or what else can be iterated'
}
const SCHEMA = { fits: (value) => OBJECT.fits(value) || TEXT.fits(value), must: 'an object or a string' }
const SIGNAL = {
  fits: (value) => typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function',
  must: 'an AbortSignal'
}

/** Options have the same kind wherever they are taken. */
const OPTIONS = new Map(Object.entries({
  address: TEXT,
  autoReset: FLAG,
  capacity: COUNT,
  concurrency: POSITIVE,
  create: TEXT,
  dataDir: TEXT,
  dead: FLAG,
  dedup: OBJECT,
  'dedup.count': COUNT,
  'dedup.within': TIME,
  dedupId: TEXT,
  delay: TIME,
  descriptors: LIST,
  durable: FLAG,
  fsync: TEXT,
  fsyncInterval: TIME,
  group: COUNT,
  input: STREAM,
  label: TEXT,
  lease: TIME,
  maxAttempts: COUNT,
  maxBorrowed: COUNT,
  maxBytes: COUNT,
  maxMessage: COUNT,
  maxParticipants: COUNT,
  mode: COUNT,
  overflow: TEXT,
  participantQuota: COUNT,
  priority: COUNT,
  progress: FUNCTION,
  quota: COUNT,
  reconnect: FLAG,
  result: FLAG,
  retain: FLAG,
  runtimeDir: TEXT,
  schema: SCHEMA,
  signal: SIGNAL,
  size: COUNT,
  start: TEXT,
  timeout: TIME,
  ttl: TIME,
  wait: TEXT
}))

/** What was given, and of what type it is. */
function shown (value) {
  const text = inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 40 })
  return value === null || value === undefined ? text : `${text} (${typeof value})`
}

/** Throws unless `value` is of this kind; `name` is what the error calls it. */
function check (name, value, { fits, must }) {
  if (!fits(value)) throw invalid(`${name} is ${shown(value)}; it must be ${must}`)
}

/** Throws unless options, where there are some, are of the kinds that they must be; `prefix` is what they are options of. */
function checkOptions (options, prefix = '') {
  if (options === undefined) return
  check('options', options, OBJECT)
  for (const name in options) {
    const value = options[name]
    const kind = OPTIONS.get(prefix + name)
    if (kind !== undefined && value !== undefined) check(prefix + name, value, kind)
  }
}

/**
 * Throws unless a wait can be made so.
 *
 * @param {import('../index.js').WaitOptions} options
 */
function checkWait (options) {
  if (options === undefined) return
  check('options', options, OBJECT)
  const { timeout, signal } = options
  if (timeout !== undefined) check('timeout', timeout, TIME)
  if (signal !== undefined) check('signal', signal, SIGNAL)
}

module.exports = { COUNT, DESCRIPTOR, LIST, NUMBER, OBJECT, POSITIVE, TEXT, TIME, check, checkOptions, checkWait }
