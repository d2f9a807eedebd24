import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { domain, is, sleep } from './helper.mjs'

function pair (options) {
  const ax = domain()
  return { ax, producer: ax.ringProducer('r', options), consumer: ax.ringConsumer('r', options) }
}

describe('ring', () => {
  it('carries messages in order', () => {
    const { producer, consumer } = pair({ capacity: 1 << 20 })
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), (messages) => {
      for (const message of messages) producer.push(message)
      for (const message of messages) assert.deepEqual(new Uint8Array(consumer.tryPop()), message)
      assert.equal(consumer.tryPop(), null)
    }))
    const large = Buffer.alloc(900_000, 3)
    producer.push(large)
    assert.deepEqual(consumer.tryPop(), large)
    const target = Buffer.alloc(10)
    assert.equal(consumer.tryPopInto(target), -1)
    producer.push(Float64Array.of(1))
    producer.push(Buffer.alloc(11, 1))
    assert.equal(consumer.tryPopInto(target), 8)
    assert.equal(target.readDoubleLE(), 1)
    assert.throws(() => consumer.tryPopInto(target), is('TooLarge'))
    assert.deepEqual(consumer.tryPop(), Buffer.alloc(11, 1), 'it was kept')
    assert.throws(() => producer.push(Buffer.alloc(2 << 20)), is('TooLarge'))
    assert.throws(() => producer.push('text'), is('InvalidArgument'))
    assert.throws(() => consumer.tryPopInto('text'), is('InvalidArgument'))
  })

  it('keeps messages for a consumer that comes later', () => {
    const ax = domain()
    const producer = ax.ringProducer('later')
    producer.push(Buffer.from('early'))
    assert.equal(ax.ringConsumer('later').tryPop().toString(), 'early')
  })

  it('writes and reads in place', async () => {
    const { producer, consumer } = pair()
    let kept
    assert.equal(producer.reserve(100, (array) => { kept = array; array.fill(9); return 'ok' }), 'ok')
    assert.equal(kept.length, 0)
    assert.equal(consumer.tryBorrow((array) => { kept = array; return array.reduce((a, b) => a + b) }), 900)
    assert.equal(kept.length, 0)
    assert.equal(consumer.tryBorrow(() => 1), null)
    assert.throws(() => producer.reserve(10, () => { throw new RangeError('no') }), RangeError)
    assert.equal(consumer.tryPop(), null)
    const writing = producer.reserve(4, async (array) => { await sleep(5); array.fill(1) })
    assert.throws(() => producer.push(Buffer.alloc(1)), is('InUse'))
    assert.throws(() => producer.close(), is('InUse'))
    await writing
    const reading = consumer.borrow(async (array) => { await sleep(5); return array[3] })
    assert.throws(() => consumer.tryPop(), is('InUse'))
    assert.throws(() => consumer.close(), is('InUse'))
    assert.equal(await reading, 1)
    assert.throws(() => producer.reserve(10), is('InvalidArgument'))
    assert.throws(() => producer.reserve(2 << 20, () => {}), is('TooLarge'))
  })

  it('pushes back, and waits for room in order', async () => {
    const { producer, consumer } = pair({ capacity: 4096 })
    let count = 0
    assert.throws(() => { while (true) { producer.push(Buffer.alloc(1000, count)); count++ } }, is('WouldBlock'))
    assert.throws(() => { producer.reserve(4000, () => {}) }, is('WouldBlock'))
    await assert.rejects(producer.pushAsync(Buffer.alloc(1000), { timeout: 10 }), is('Timeout'))
    const all = Array.from({ length: 200 }, (_, i) => producer.pushAsync(Buffer.from([i, 0, 0])))
    for (let i = 0; i < count; i++) assert.equal((await consumer.pop())[0], i)
    for (let i = 0; i < 200; i++) assert.equal((await consumer.pop({ timeout: 5000 }))[0], i)
    await Promise.all(all)
  })

  it('waits for messages', async () => {
    const { producer, consumer } = pair()
    setTimeout(() => producer.push(Buffer.from('x')), 10)
    assert.equal((await consumer.pop()).toString(), 'x')
    await assert.rejects(consumer.pop({ timeout: 10 }), is('Timeout'))
    await assert.rejects(consumer.pop({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    setTimeout(() => producer.push(Buffer.from('into')), 10)
    const target = Buffer.alloc(8)
    assert.equal(await consumer.popInto(target), 4)
    setTimeout(() => producer.push(Buffer.from('lent')), 10)
    assert.equal(await consumer.borrow((array) => Buffer.from(array).toString()), 'lent')
  })

  it('ends when the producer has ended and all is read', async () => {
    const { producer, consumer } = pair()
    producer.push(Buffer.from('a'))
    setTimeout(() => { producer.push(Buffer.from('b')); producer.close() }, 10)
    const got = []
    for await (const data of consumer) got.push(data.toString())
    assert.deepEqual(got, ['a', 'b'])
    await assert.rejects(consumer.pop(), is('Disconnected'))
    assert.throws(() => consumer.tryPop(), is('Disconnected'))
  })

  it('has one end of each kind', () => {
    const { ax } = pair()
    assert.throws(() => ax.ringProducer('r'), is('Busy'))
    assert.throws(() => ax.ringConsumer('r'), is('Busy'))
  })

  it('shows itself', () => {
    const { producer, consumer } = pair()
    producer.push(Buffer.from('x'))
    const { pendingBytes, ...counts } = producer.stats()
    assert.deepEqual(counts, { messages: 1, blocked: 0, pendingMessages: 1, wakesSent: 0, wakesElided: 1 })
    const shown = inspect(producer, { breakLength: Infinity })
    assert.ok(shown.startsWith(`RingProducer { name: 'r', messages: 1, blocked: 0, pendingBytes: ${pendingBytes}, `), shown)
    assert.match(inspect(consumer), /^RingConsumer \{\s+name: 'r',\s+messages: 1,\s+blocked: 0,/)
    consumer.tryPop()
    assert.equal(consumer.stats().pendingBytes, 0)
    producer.close()
    assert.equal(inspect(producer), "RingProducer { name: 'r', closed: true }")
  })
})
