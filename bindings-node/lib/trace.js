'use strict'

// Which trace a handler, or a worker, works for: calls that it makes, and what it publishes and puts, carry it on.

const { AsyncLocalStorage } = require('node:async_hooks')

/**
 * Made when a trace comes for the first time: until then promises need not look after it.
 *
 * @type {AsyncLocalStorage<string | undefined> | null}
 */
let storage = null

/**
 * Runs a handler for a trace, or for none.
 *
 * @param {string | undefined} traceparent
 */
function traced (traceparent, run) {
  if (traceparent !== undefined) storage ??= new AsyncLocalStorage()
  return storage === null ? run() : storage.run(traceparent, run)
}

/**
 * Options that may have attributes, with the trace that what goes out belongs to.
 *
 * @param {any} [options]
 */
function tracing (options) {
  const traceparent = storage?.getStore()
  if (traceparent === undefined || options?.attributes?.traceparent !== undefined) return options
  return { ...options, attributes: { ...options?.attributes, traceparent } }
}

module.exports = { traced, tracing }
