'use strict'

const native = require('./native.js')
const { invalid } = require('./error.js')

/** The program's logger on this thread. */
let logger = null
let started = false
let awaited = false

/** Called in the middle of native calls: does nothing but ask for a microtask. */
function wake () {
  if (awaited) return
  awaited = true
  queueMicrotask(deliver)
}

function deliver () {
  awaited = false
  for (const { level, message } of native.takeLog()) {
    try {
      logger?.(level, message)
    } catch (error) {
      // The logger's own failure is as uncaught as any, and keeps no record from being told.
      queueMicrotask(() => { throw error })
    }
  }
}

function setLogger (given) {
  if (given !== null && typeof given !== 'function') {
    throw invalid('setLogger: the logger is a function (level, message), or null for none')
  }
  // What happened so far belongs to the one before.
  deliver()
  if (given !== null && !started) {
    native.startLog(wake)
    started = true
  }
  logger = given
}

module.exports = { deliver, setLogger }
