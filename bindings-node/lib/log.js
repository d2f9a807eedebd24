'use strict'

const native = require('./native.js')
const { invalid } = require('./error.js')

/** The program's logger on this thread. */
let logger = null
let turn = 0

function tell (level, message) {
  if (logger === null) return
  try {
    logger(level, message)
  } catch (error) {
    // The logger's own failure is as uncaught as any, and keeps no record from being told.
    setImmediate(() => { throw error })
  }
}

/** Tells what happened since the last time. */
function deliver () {
  for (const { level, message } of native.takeLog(turn)) {
    tell(level, message)
    // What the logger's own calls cause is not told, or it might never end.
    native.takeLog(turn)
  }
}

function setLogger (given) {
  if (given !== null && typeof given !== 'function') {
    throw invalid('setLogger: the logger is a function (level, message), or null for none')
  }
  // What happened so far belongs to the one before.
  deliver()
  if (given !== null && turn === 0) {
    turn = native.startLog(deliver)
    // Also what the last turn of the loop, or process.exit(), leaves untold.
    process.on('exit', deliver)
  }
  logger = given
}

module.exports = { deliver, setLogger, tell }
