'use strict'

const { inspectable } = require('./internal.js')
const { CONTENTS, RAW, decode, shaped } = require('./value.js')

/** A received message; its bytes belong to the receiver. */
class Message {
  #seen
  #value
  #decoded = false

  /** Made by subscribers only: what is known about it, its bytes, its attributes. */
  constructor (seen, data, attributes) {
    this.#seen = seen
    this.data = data
    this.attributes = attributes
  }

  get topic () {
    return this.#seen.source.topic
  }

  /** The identity of the publisher. */
  get publisher () {
    return this.#seen.source.publisher
  }

  get content () {
    return CONTENTS[this.#seen.content]
  }

  /** Messages missed just before this one. */
  get missed () {
    return this.#seen.missed
  }

  /** Its number in the order of its publisher. */
  get sequence () {
    return this.#seen.sequence
  }

  get tensor () {
    return this.#seen.tensor
  }

  /** Decoded at first use. */
  get value () {
    if (!this.#decoded) {
      const { content, source, tensor } = this.#seen
      this.#value = content === RAW ? this.data : decode('message on', source.topic, content, this.data, tensor)
      this.#decoded = true
    }
    return this.#value
  }
}

/** A message in place, for the length of a callback: its arrays are empty afterwards. */
class BorrowedMessage extends Message {
  #array

  /** The bytes as what they are: a typed array of the tensor's type, else a Uint8Array. */
  get array () {
    if (this.#array === undefined) {
      const { buffer, byteLength } = this.data
      this.#array = this.tensor === null
        ? new Uint8Array(buffer)
        : shaped(buffer, 0, byteLength, this.tensor.dtype, this.tensor.shape)
    }
    return this.#array
  }
}

function describe (message) {
  const { topic, content, data, tensor, attributes, missed, sequence, publisher } = message
  const shown = { topic, content, data, missed, sequence, publisher }
  if (tensor !== null) shown.tensor = tensor
  if (attributes !== null) shown.attributes = attributes
  return shown
}

inspectable(Message, describe)
inspectable(BorrowedMessage, describe)

module.exports = { BorrowedMessage, Message }
