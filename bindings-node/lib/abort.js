'use strict'

// Signals that somebody waits for. Each has one listener, however many wait: Node warns of more than ten, and a program may well
// give one signal to a thousand calls.

/** @type {WeakMap<AbortSignal, Awaited>} */
const all = new WeakMap()

class Awaited {
  #signal
  /** @type {Set<() => void>} */
  #acts = new Set()

  /** @param {AbortSignal} signal */
  constructor (signal) {
    this.#signal = signal
  }

  add (act) {
    if (this.#acts.size === 0) this.#signal.addEventListener('abort', this.#tell, { once: true })
    this.#acts.add(act)
  }

  delete (act) {
    if (this.#acts.delete(act) && this.#acts.size === 0) this.#signal.removeEventListener('abort', this.#tell)
  }

  #tell = () => {
    const acts = [...this.#acts]
    this.#acts.clear()
    for (const act of acts) act()
  }
}

/** Calls `act` once `signal` aborts, unless it is left before. */
function onAbort (signal, act) {
  let awaited = all.get(signal)
  if (awaited === undefined) all.set(signal, awaited = new Awaited(signal))
  awaited.add(act)
}

/** `act` is not to be called any more. */
function leaveAbort (signal, act) {
  all.get(signal)?.delete(act)
}

module.exports = { onAbort, leaveAbort }
