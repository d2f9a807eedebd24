// Random programs against a model: whoever subscribed before a message was sent gets it exactly once,
// in its publisher's order and unchanged, whatever is opened, closed, borrowed or collected between.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AxonicError, domain, leftovers } from './helper.mjs'

const SLOTS = 3
const slot = fc.nat(SLOTS - 1)
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 2000, max: 70_000 }).map((size) => Buffer.alloc(size, size)),
  fc.jsonValue(),
  fc.array(fc.float({ noNaN: true }), { maxLength: 50 }).map((numbers) => Float32Array.from(numbers))
)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constantFrom('publish', 'lend'), slot, payload }) },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('publishMany'), slot, payload: fc.array(payload, { maxLength: 5 }) })
  },
  { weight: 6, arbitrary: fc.record({ what: fc.constantFrom('receive', 'receiveMany', 'borrow', 'into', 'wait'), slot }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('closePublisher', 'closeSubscriber', 'collect'), slot }) }
)

/** What a payload looks like to whoever receives it. */
function seen (value) {
  const plain = ArrayBuffer.isView(value) ? [value.constructor.name, Array.from(value)] : value
  return JSON.stringify(JSON.parse(JSON.stringify(plain)))
}

class Model {
  constructor () {
    this.ax = domain()
    this.publishers = []
    this.subscribers = []
  }

  publisher (slot) {
    return (this.publishers[slot] ??= this.ax.publisher(`topic.${slot}`, { overflow: 'block' }))
  }

  subscriber (slot) {
    const pattern = slot === 0 ? '>' : `topic.${slot}`
    return (this.subscribers[slot] ??= { handle: this.ax.subscriber(pattern), slot, owed: new Map() })
  }

  owe (publisher, value) {
    for (const { slot, owed } of this.subscribers.filter(Boolean)) {
      if (slot !== 0 && publisher.topic !== `topic.${slot}`) continue
      if (!owed.has(publisher.id)) owed.set(publisher.id, [])
      owed.get(publisher.id).push(seen(value))
    }
  }

  arrive (subscriber, message) {
    assert.equal(message.missed, 0)
    const queue = subscriber.owed.get(message.publisher)
    assert.ok(queue?.length > 0, 'nobody sent this')
    assert.equal(seen(message.value), queue.shift())
  }

  nothing ({ owed }) {
    for (const queue of owed.values()) assert.deepEqual(queue, [], 'messages are missing')
  }

  async run ({ what, slot, payload }) {
    switch (what) {
      case 'publish': {
        const publisher = this.publisher(slot)
        publisher.publish(payload)
        return this.owe(publisher, payload)
      }
      case 'lend': {
        const publisher = this.publisher(slot)
        const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(seen(payload))
        publisher.loan(bytes.length, (array) => array.set(bytes))
        return this.owe(publisher, bytes)
      }
      case 'publishMany': {
        const publisher = this.publisher(slot)
        publisher.publishMany(payload)
        return payload.forEach((value) => this.owe(publisher, value))
      }
      case 'closePublisher': this.publishers[slot]?.close(); return delete this.publishers[slot]
      case 'closeSubscriber': this.subscribers[slot]?.handle.close(); return delete this.subscribers[slot]
      case 'collect': return globalThis.gc()
    }
    return this.take(what, this.subscriber(slot))
  }

  async take (what, subscriber) {
    const { handle } = subscriber
    if (what === 'receive') {
      const message = handle.tryReceive()
      return message === null ? this.nothing(subscriber) : this.arrive(subscriber, message)
    }
    if (what === 'receiveMany') {
      const messages = handle.tryReceiveMany(4)
      messages.forEach((message) => this.arrive(subscriber, message))
      return messages.length < 4 && this.nothing(subscriber)
    }
    if (what === 'borrow') {
      const nothing = handle.tryBorrow((message) => this.arrive(subscriber, message)) === null
      return nothing && this.nothing(subscriber)
    }
    if (what === 'into') {
      const before = handle.stats().received
      const length = handle.tryReceiveInto(new Uint8Array(80_000))
      if (length < 0) return this.nothing(subscriber)
      assert.ok(handle.stats().received >= before)
      // Bytes only, and nobody says whose: it must be the first that some publisher is owed.
      const owing = [...subscriber.owed.values()].filter((queue) => queue.length > 0)
      assert.ok(owing.length > 0)
      if (owing.length === 1) return owing[0].shift()
      // Ambiguous: from here on this subscriber is a new one.
      handle.close()
      return delete this.subscribers[subscriber.slot]
    }
    try {
      this.arrive(subscriber, await handle.receive({ timeout: 1 }))
    } catch (error) {
      if (!(error instanceof AxonicError && error.code === 'AXONIC_TIMEOUT')) throw error
      this.nothing(subscriber)
    }
  }

  end () {
    for (const subscriber of this.subscribers.filter(Boolean)) {
      let message
      while ((message = subscriber.handle.tryReceive()) !== null) this.arrive(subscriber, message)
      this.nothing(subscriber)
    }
    this.ax.close()
  }
}

describe('model', () => {
  it('holds for random programs', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (program) => {
      const model = new Model()
      try {
        for (const line of program) await model.run(line)
        model.end()
      } finally {
        model.ax.close()
      }
    }), { numRuns: 200 })
    assert.deepEqual(leftovers(), [])
  })
})
