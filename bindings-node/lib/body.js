'use strict'

// What calls carry, on its way to and from the native half.

const internal = require('./internal.js')
const { LENGTH, CONTENT, MISSED } = internal
const values = require('./value.js')
const { JSON_TEXT, RAW, TENSOR } = values

// Flags beside the content type in the table: see `body.rs`.
const HELD = 256
/** Where the table says how many milliseconds a call may take: see `client.rs`. */
const TIMEOUT = MISSED
const CONTENT_MASK = 0xff

/**
 * The value that row 0 of the table tells of.
 *
 * @param {string} what what errors call it, with `name`
 * @param {(target: Buffer) => void} take fetches the bytes that did not fit into the scratch
 */
function bodyValue (what, name, take) {
  const { bytes, table } = internal.getScratch()
  const length = table[LENGTH]
  const flags = table[CONTENT]
  const content = flags & CONTENT_MASK
  const tensor = content === TENSOR ? values.getTensor(table, 0) : null
  if (flags & HELD) {
    const data = Buffer.allocUnsafeSlow(length)
    take(data)
    return values.decode(what, name, content, data, tensor)
  }
  if (content === RAW) return internal.copied(length)
  if (content === JSON_TEXT) return values.decode(what, name, content, bytes.toString('utf8', 0, length), null)
  return values.decode(what, name, content, internal.copied(length), tensor)
}

/**
 * Sends a value the quick way, if nothing is to be said about it but its content: what the native half answers.
 * Undefined: it needs more words.
 *
 * @param {string} cannot how an error about the value begins
 * @param {(number: number, view: Uint8Array) => any} send
 * @param {(number: number, length: number) => any} sendScratch
 * @param {number} [timeout] of a call, in milliseconds; -1: as long as it takes
 */
function quickly (value, cannot, number, send, sendScratch, timeout = -1) {
  const { bytes, table } = internal.getScratch()
  if (values.isBytes(value)) {
    table[CONTENT] = RAW
    table[TIMEOUT] = timeout
    return send(number, value)
  }
  if (values.isBinary(value) || values.asTensor(value, cannot) !== undefined) return undefined
  const text = values.jsonText(value, cannot)
  // Only now: what is encoded may call others itself.
  table[CONTENT] = JSON_TEXT
  table[TIMEOUT] = timeout
  // A UTF-16 unit takes three bytes of UTF-8 at most.
  if (text.length * 3 <= bytes.length) return sendScratch(number, bytes.write(text))
  return send(number, Buffer.from(text))
}

module.exports = { bodyValue, quickly }
