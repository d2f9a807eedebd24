import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import native from '../lib/native.js'
import { Message, domain, is } from './helper.mjs'

const SIZES = [0, 1, 47, 64, 2047, 2048, 2049, 4096, 262_143, 262_144, 262_145, 1 << 20]

function pair (options, subscriberOptions) {
  const ax = domain()
  const sub = ax.subscriber('t', subscriberOptions)
  const pub = ax.publisher('t', options)
  return { ax, pub, sub }
}

const pattern = (size, k) => Buffer.from({ length: size }, (_, i) => (i * 31 + k * 7 + size) & 0xff)

describe('topic', () => {
  it('carries bytes of every size, in order', () => {
    const { pub, sub } = pair({ overflow: 'block' })
    SIZES.forEach((size, k) => {
      pub.publish(pattern(size, k))
      const message = sub.tryReceive()
      assert.ok(message instanceof Message)
      assert.deepEqual(message.data, pattern(size, k), `${size}`)
      assert.equal(message.topic, 't')
      assert.equal(message.content, 'raw')
      assert.equal(message.value, message.data)
      assert.equal(message.missed, 0)
      assert.equal(message.publisher, pub.id)
      assert.equal(message.tensor, null)
      assert.equal(message.attributes, null)
    })
    assert.equal(sub.tryReceive(), null)
    assert.equal(sub.missed, 0)
  })

  it('numbers messages one after another', () => {
    const { pub, sub } = pair()
    for (let i = 0; i < 5; i++) pub.publish(Buffer.from([i]))
    const numbers = sub.tryReceiveMany().map((message) => message.sequence)
    assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i))
    assert.equal(typeof numbers[0], 'number')
  })

  it('gives JSON back as it was', () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 1 << 20 })
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      pub.publish(value)
      const message = sub.tryReceive()
      assert.equal(message.content, 'json')
      assert.deepEqual(message.value, JSON.parse(JSON.stringify(value)))
      assert.equal(message.value, message.value)
    }))
    const long = { text: 'é'.repeat(300_000) }
    pub.publish(long)
    assert.deepEqual(sub.tryReceive().value, long)
  })

  it('refuses what has no JSON form', () => {
    const { pub, sub } = pair()
    assert.throws(() => pub.publish(undefined), is('InvalidArgument'))
    assert.throws(() => pub.publish(() => 1), is('InvalidArgument'))
    const circle = {}
    circle.circle = circle
    for (const value of [1n, { n: 1n }, circle]) {
      assert.throws(() => pub.publish(value), (error) => is('InvalidArgument')(error) && error.cause instanceof TypeError)
    }
    const own = { toJSON () { throw new RangeError('mine') } }
    assert.throws(() => pub.publish(own), RangeError)
    assert.equal(sub.tryReceive(), null)
  })

  it('names what cannot be decoded', () => {
    const { pub, sub } = pair()
    pub.publish(Buffer.from('{"half":'), { content: 'json' })
    const message = sub.tryReceive()
    assert.equal(message.data.toString(), '{"half":')
    assert.throws(() => message.value, is('Decode'))
    pub.publish(Buffer.from([0xc1]), { content: 'msgpack' })
    assert.throws(() => sub.tryReceive().value, is('Decode'))
  })

  it('speaks MessagePack', () => {
    const { pub, sub } = pair()
    const value = { id: 7, tags: ['a', 'b'], nested: { pi: 3.5, none: null, yes: true } }
    pub.publish(value, { content: 'msgpack' })
    const message = sub.tryReceive()
    assert.equal(message.content, 'msgpack')
    assert.notEqual(message.data.toString(), JSON.stringify(value))
    assert.deepEqual(message.value, value)
    assert.throws(() => pub.publish(value, { content: 'yaml' }), is('InvalidArgument'))
    assert.throws(() => pub.publish(value, { content: 'raw' }), is('InvalidArgument'))
  })

  it('carries typed arrays as tensors of one dimension', () => {
    const { pub, sub } = pair()
    const arrays = [
      Int8Array.of(-1, 2), Int16Array.of(-3), Uint16Array.of(4), Int32Array.of(-5), Uint32Array.of(6),
      BigInt64Array.of(-7n), BigUint64Array.of(8n), Float32Array.of(1.5, 2.5), Float64Array.of(0.1)
    ]
    for (const array of arrays) {
      pub.publish(array)
      const { value, tensor, content } = sub.tryReceive()
      assert.equal(content, 'tensor')
      assert.equal(value.constructor, array.constructor)
      assert.deepEqual(Array.from(value), Array.from(array))
      assert.deepEqual(tensor.shape, [array.length])
      assert.equal(tensor.dtype, array.constructor.name.replace('Big', '').replace('Array', '').toLowerCase())
    }
  })

  it('carries tensors with their shape, also those received', () => {
    const { pub, sub } = pair()
    const data = Float32Array.from({ length: 12 }, (_, i) => i / 2)
    pub.publish({ data, shape: [3, 4] })
    const first = sub.tryReceive()
    assert.deepEqual(first.tensor, { dtype: 'float32', shape: [3, 4] })
    assert.deepEqual(first.value.shape, [3, 4])
    assert.equal(first.value.dtype, 'float32')
    assert.deepEqual(Array.from(first.value), Array.from(data))
    pub.publish(first.value)
    assert.deepEqual(sub.tryReceive().tensor, first.tensor)
    pub.publish({ data: Uint16Array.of(0x3f80, 0x4000), shape: [2], dtype: 'bfloat16' })
    const half = sub.tryReceive()
    assert.equal(half.tensor.dtype, 'bfloat16')
    assert.deepEqual(Array.from(half.value), [0x3f80, 0x4000])
    pub.publish({ data: Float64Array.of(1, 2, 3, 4), shape: [2], dtype: 'complex128' })
    assert.deepEqual(Array.from(sub.tryReceive().value), [1, 2, 3, 4])
    pub.publish({ data: new Uint8Array(0), shape: [0, 5] })
    assert.deepEqual(sub.tryReceive().value.shape, [0, 5])
    const frame = new Uint8Array(640 * 480 * 3).fill(9)
    pub.publish({ data: frame, shape: [480, 640, 3] })
    const shown = sub.tryReceive()
    assert.deepEqual(shown.tensor.shape, [480, 640, 3])
    assert.ok(shown.data.equals(frame))
    assert.throws(() => pub.publish({ data, shape: [5] }), is('InvalidArgument'))
    assert.throws(() => pub.publish({ data, shape: [-12] }), is('InvalidArgument'))
    assert.throws(() => pub.publish({ data, shape: [12], dtype: 'float' }), is('InvalidArgument'))
    assert.throws(() => pub.publish({ data, shape: [2 ** 40, 2 ** 40] }), is('InvalidArgument'))
  })

  it('carries attributes and fills in what CloudEvents asks for', () => {
    const { pub, sub } = pair()
    pub.publish({ id: 1 }, { attributes: { type: 'order', traceparent: '00-1-2-3' } })
    const { attributes, value } = sub.tryReceive()
    assert.equal(attributes.type, 'order')
    assert.equal(attributes.traceparent, '00-1-2-3')
    for (const name of ['specversion', 'id', 'source', 'time']) assert.ok(attributes[name], name)
    assert.deepEqual(value, { id: 1 })
    assert.throws(() => pub.publish(1, { attributes: { 'Not-A-Name': 'x' } }), is('InvalidArgument'))
  })

  it('receives many at once, mixed', () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 4 << 20 })
    const sent = []
    for (let i = 0; i < 1000; i++) {
      const kind = i % 250 === 249 ? 'large' : i % 100 === 50 ? 'tensor' : i % 7 === 3 ? 'json' : 'raw'
      if (kind === 'large') pub.publish(pattern(400_000, i))
      else if (kind === 'tensor') pub.publish(Float32Array.of(i))
      else if (kind === 'json') pub.publish({ i })
      else pub.publish(pattern(i % 90, i))
      sent.push(kind)
    }
    const got = sub.tryReceiveMany(5)
    assert.equal(got.length, 5)
    got.push(...sub.tryReceiveMany(10_000))
    assert.equal(got.length, 1000)
    got.forEach((message, i) => {
      if (sent[i] === 'large') assert.ok(message.data.equals(pattern(400_000, i)))
      else if (sent[i] === 'tensor') assert.deepEqual(message.value, Float32Array.of(i), `${i}`)
      else if (sent[i] === 'json') assert.deepEqual(message.value, { i })
      else assert.deepEqual(message.data, pattern(i % 90, i), `${i}`)
      assert.equal(message.missed, 0)
    })
    assert.deepEqual(sub.tryReceiveMany(), [])
    assert.throws(() => sub.tryReceiveMany(0), is('InvalidArgument'))
  })

  it('fills a buffer of the caller', async () => {
    const { pub, sub } = pair()
    const target = Buffer.alloc(100)
    assert.equal(sub.tryReceiveInto(target), -1)
    pub.publish(pattern(64, 1))
    assert.equal(sub.tryReceiveInto(target), 64)
    assert.deepEqual(target.subarray(0, 64), pattern(64, 1))
    pub.publish(pattern(101, 2))
    assert.throws(() => sub.tryReceiveInto(target), is('TooLarge'))
    assert.throws(() => sub.tryReceiveInto(target), is('TooLarge'), 'it stays the next one')
    assert.deepEqual(sub.tryReceive().data, pattern(101, 2))
    pub.publish(Buffer.alloc(0))
    assert.equal(sub.tryReceiveInto(new Float64Array(1)), 0)
    assert.throws(() => sub.tryReceiveInto([]), is('InvalidArgument'))
    setTimeout(() => pub.publish(pattern(10, 3)), 10)
    assert.equal(await sub.receiveInto(target), 10)
  })

  it('publishes many or none', async () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 65_536 })
    pub.publishMany([Buffer.from('a'), { b: 1 }, Buffer.from('c')])
    assert.deepEqual(sub.tryReceiveMany().map((m) => m.data.toString()), ['a', '{"b":1}', 'c'])
    pub.publishMany([Float32Array.of(1), Buffer.alloc(100_000, 1)])
    assert.deepEqual(sub.tryReceiveMany().map((m) => m.content), ['tensor', 'raw'])
    pub.publishMany(new Set(Array.from({ length: 300 }, (_, i) => ({ i }))))
    assert.deepEqual(sub.tryReceiveMany(999).map((m) => m.value.i), Array.from({ length: 300 }, (_, i) => i))
    pub.publishMany([])
    assert.equal(sub.tryReceive(), null)
    const many = Array.from({ length: 200 }, () => Buffer.alloc(2000))
    assert.throws(() => pub.publishMany(many), is('TooLarge'))
    assert.equal(sub.tryReceive(), null)
    assert.throws(() => pub.publishMany([Buffer.alloc(1), () => 1]), is('InvalidArgument'))
    assert.equal(sub.tryReceive(), null)
    await pub.publishManyAsync([1, 2])
    assert.deepEqual(sub.tryReceiveMany().map((m) => m.value), [1, 2])
  })

  it('lends memory and publishes it', async () => {
    const { pub, sub } = pair()
    let kept
    const answer = pub.loan({ shape: [480, 640, 3], dtype: 'uint8' }, (array) => {
      assert.equal(array.length, 480 * 640 * 3)
      assert.deepEqual(array.shape, [480, 640, 3])
      array.fill(5)
      kept = array
      return 'done'
    })
    assert.equal(answer, 'done')
    assert.equal(kept.length, 0, 'the array ends with the callback')
    const frame = sub.tryReceive()
    assert.deepEqual(frame.tensor, { dtype: 'uint8', shape: [480, 640, 3] })
    assert.ok(frame.data.every((byte) => byte === 5))
    pub.loan({ shape: [4], dtype: 'float32', attributes: { type: 'vector' } }, (array) => array.set([1, 2, 3, 4]))
    const vector = sub.tryReceive()
    assert.deepEqual(Array.from(vector.value), [1, 2, 3, 4])
    assert.equal(vector.attributes.type, 'vector')
    for (const size of [0, 1, 64, 4096, 1 << 20]) {
      pub.loan(size, (array) => array.fill(size))
      const { data, content } = sub.tryReceive()
      assert.equal(content, 'raw')
      assert.deepEqual(data, Buffer.alloc(size, size))
    }
    await pub.loan({ bytes: 3 }, async (array) => {
      await new Promise(setImmediate)
      array.fill(7)
    })
    assert.deepEqual(sub.tryReceive().data, Buffer.from([7, 7, 7]))
  })

  it('discards a loan whose callback fails', async () => {
    const { pub, sub } = pair()
    let kept
    assert.throws(() => pub.loan(5000, (array) => { kept = array; throw new RangeError('no') }), RangeError)
    assert.equal(kept.length, 0)
    await assert.rejects(pub.loan(5000, async () => { throw new RangeError('no') }), RangeError)
    assert.equal(sub.tryReceive(), null)
    assert.throws(() => pub.loan(5000), is('InvalidArgument'))
    assert.throws(() => pub.loan(-1, () => {}), is('InvalidArgument'))
    assert.throws(() => pub.loan({ shape: [2], dtype: 'what' }, () => {}), is('InvalidArgument'))
    assert.throws(() => pub.loan(1 << 30, () => {}), is('TooLarge'))
    pub.publish(Buffer.from('on'))
    assert.equal(sub.tryReceive().data.toString(), 'on')
  })

  it('shows messages in place', async () => {
    const { pub, sub } = pair()
    let kept
    const draw = (m) => {
      kept = m
      return m.array.reduce((sum, byte) => sum + byte, 0)
    }
    assert.equal(sub.tryBorrow(draw), null)
    for (const size of [1, 64, 4096, 1 << 20]) {
      pub.publish(Buffer.alloc(size, 1))
      assert.equal(sub.tryBorrow(draw), size)
      assert.equal(kept.array.length, 0, 'the array ends with the callback')
      assert.equal(kept.data.length, 0)
    }
    pub.publish({ data: Float64Array.from({ length: 1000 }, (_, i) => i), shape: [10, 100] })
    assert.equal(sub.tryBorrow((m) => {
      assert.ok(m.array instanceof Float64Array)
      assert.deepEqual(m.array.shape, [10, 100])
      assert.equal(m.value.length, 1000)
      assert.equal(sub.stats().pinned, 1)
      return m.array[999]
    }), 999)
    assert.equal(sub.stats().pinned, 0)
    pub.publish({ text: 'x'.repeat(5000) })
    assert.equal(await sub.borrow((m) => m.value.text.length), 5000)
    setTimeout(() => pub.publish(Buffer.alloc(3000, 2)), 10)
    const later = await sub.borrow(async (m) => {
      await new Promise(setImmediate)
      return m.array[2999]
    })
    assert.equal(later, 2)
    assert.equal(sub.stats().pinned, 0)
    pub.publish(Buffer.alloc(3000))
    assert.throws(() => sub.tryBorrow(() => { throw new RangeError('no') }), RangeError)
    assert.equal(sub.stats().pinned, 0)
    assert.throws(() => sub.tryBorrow(), is('InvalidArgument'))
    await assert.rejects(sub.borrow(), is('InvalidArgument'))
  })

  it('holds a hundred views without stalling anybody', async () => {
    const { pub, sub } = pair({ overflow: 'block' })
    const release = []
    const views = []
    for (let i = 0; i < 100; i++) {
      pub.publish(Buffer.alloc(4096, i))
      views.push(sub.tryBorrow(async (m) => {
        await new Promise((resolve) => release.push(resolve))
        assert.ok(m.array.every((byte) => byte === i), `${i}`)
      }))
    }
    assert.equal(sub.stats().pinned, 100)
    for (let i = 0; i < 1000; i++) {
      pub.publish(Buffer.alloc(4096, 255))
      assert.equal(sub.tryReceive().data[0], 255)
    }
    for (const resolve of release) resolve()
    await Promise.all(views)
    assert.equal(sub.stats().pinned, 0)
  })

  it('works the same where the engine refuses foreign memory', () => {
    const { pub, sub } = pair()
    native.alwaysCopy(true)
    try {
      pub.loan({ shape: [5000], dtype: 'int16' }, (array) => array.fill(-3))
      assert.ok(sub.tryBorrow((m) => m.array.every((number) => number === -3) && m.array.length === 5000))
      pub.loan(10, (array) => array.fill(1))
      assert.deepEqual(sub.tryReceive().data, Buffer.alloc(10, 1))
    } finally {
      native.alwaysCopy(false)
    }
  })

  it('counts exactly what a slow subscriber missed', () => {
    const { pub, sub } = pair({ overflow: 'dropOldest', capacity: 65_536 })
    for (let i = 0; i < 5000; i++) pub.publish(Buffer.from(String(i).padEnd(60)))
    const got = sub.tryReceiveMany(5000)
    assert.ok(got.length < 5000)
    assert.equal(got[0].missed + got.length, 5000)
    assert.equal(sub.missed, got[0].missed)
    assert.equal(Number(got[0].data.toString()), got[0].missed)
    assert.ok(got.slice(1).every((message) => message.missed === 0))
  })

  it('rejects or refuses to block when it is full', async () => {
    for (const [overflow, kind] of [['reject', 'Full'], ['block', 'WouldBlock']]) {
      const { pub, sub } = pair({ overflow, capacity: 65_536 })
      let sent = 0
      assert.throws(() => { while (true) { pub.publish(Buffer.alloc(1000, sent)); sent++ } }, is(kind))
      assert.ok(sent > 10)
      assert.throws(() => pub.publishMany([Buffer.alloc(1000)]), is(kind))
      const got = sub.tryReceiveMany(10_000)
      assert.equal(got.length, sent)
      assert.ok(got.every((message, i) => message.data[0] === (i & 0xff) && message.missed === 0))
      pub.publish(Buffer.from('again'))
      assert.equal((await sub.receive()).data.toString(), 'again')
    }
  })

  it('waits for room in order', async () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 65_536 })
    const all = []
    for (let i = 0; i < 500; i++) all.push(pub.publishAsync(Buffer.from(String(i).padEnd(1000))))
    assert.throws(() => pub.publish(Buffer.from('overtakes')), is('WouldBlock'))
    for (let i = 0; i < 500; i++) {
      assert.equal(Number((await sub.receive({ timeout: 5000 })).data.toString()), i)
    }
    await Promise.all(all)
    await pub.publishAsync({ json: true }, { attributes: { type: 'x' } })
    assert.deepEqual((await sub.receive()).value, { json: true })
  })

  it('counts what is pinned and what finished publishers left', () => {
    const { ax, pub, sub } = pair()
    const ended = ax.publisher(pub.topic)
    ended.publish(Buffer.from('left behind'))
    ended.close()
    pub.publish(Buffer.alloc(5000))
    const { published, bytes, blocked, wakesSent, wakesElided, orphans, remnants, pinned } = pub.stats()
    assert.deepEqual([published, bytes, blocked, wakesSent + wakesElided], [1, 5000, 0, 1])
    assert.deepEqual([orphans, remnants, pinned], [1, 0, 0])
    let pins = []
    for (let i = 0; i < 2; i++) {
      sub.tryBorrow(() => { pins = [pub.stats().pinned, sub.stats().pinned] })
    }
    assert.deepEqual(pins, [1, 1])
    assert.equal(sub.tryReceive(), null)
    assert.deepEqual([pub.stats().orphans, sub.stats().orphans, sub.stats().rings], [0, 0, 1])
  })

  it('gives up waiting for room in time', async () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 65_536 })
    const fill = () => { while (true) pub.publish(Buffer.alloc(1000)) }
    assert.throws(fill, is('WouldBlock'))
    await assert.rejects(pub.publishAsync(Buffer.alloc(1000), { timeout: 0 }), is('Timeout'))
    const begun = performance.now()
    await assert.rejects(pub.publishAsync(Buffer.alloc(1000), { timeout: 50 }), is('Timeout'))
    assert.ok(performance.now() - begun >= 45)
    await assert.rejects(pub.publishAsync(Buffer.alloc(1000), { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    const reason = new Error('changed my mind')
    await assert.rejects(pub.publishAsync(1, { signal: AbortSignal.abort(reason) }), (error) => error === reason)
    const count = sub.tryReceiveMany(10_000).length
    assert.equal(count, pub.stats().published)
  })

  it('waits for room for a loan', async () => {
    const { pub, sub } = pair({ overflow: 'block', maxBytes: 256 * 1024 })
    assert.throws(() => { while (true) pub.loan(60_000, (array) => array.fill(1)) }, is('WouldBlock'))
    const waiting = pub.loanAsync({ shape: [60_000], dtype: 'uint8' }, (array) => array.fill(2) && 'lent', { timeout: 5000 })
    let last
    for (let message = await sub.receive(); message !== null; message = sub.tryReceive()) last = message
    assert.equal(await waiting, 'lent')
    last = sub.tryReceive() ?? last
    assert.equal(last.data[0], 2)
  })

  it('waits for room to publish a loan, and calls back once', async () => {
    const { pub, sub } = pair({ overflow: 'block', capacity: 65_536 })
    for (const size of [1000, 1]) {
      assert.throws(() => { while (true) pub.publish(Buffer.alloc(size)) }, is('WouldBlock'))
    }
    let calls = 0
    const write = (array) => { calls++; array.fill(6) }
    assert.throws(() => pub.loan(5000, write), is('WouldBlock'))
    await assert.rejects(pub.loanAsync(5000, write, { timeout: 20 }), is('Timeout'))
    await assert.rejects(pub.loanAsync(5000, write, { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    assert.equal(calls, 3)
    const waiting = pub.loanAsync(5000, write, { timeout: 5000 })
    await new Promise(setImmediate)
    assert.equal(calls, 4)
    const got = sub.tryReceiveMany(10_000)
    await waiting
    got.push(...sub.tryReceiveMany(10_000))
    assert.equal(calls, 4)
    assert.deepEqual(got.at(-1).data, Buffer.alloc(5000, 6))
    assert.equal(got.filter((message) => message.data.length === 5000).length, 1)
  })

  it('knows who is there', async () => {
    const ax = domain()
    const pub = ax.publisher('here')
    assert.equal(pub.subscribers, 0)
    await assert.rejects(pub.waitForSubscribers(1, { timeout: 20 }), is('Timeout'))
    const both = pub.waitForSubscribers(2, { timeout: 5000 })
    const a = ax.subscriber('here')
    const b = ax.subscriber('>')
    await both
    assert.equal(pub.subscribers, 2)
    const three = pub.waitForSubscribers(3, { timeout: 5000 })
    await pub.publishAsync('not held up by who waits for others')
    assert.equal((await a.receive()).value, (await b.receive()).value)
    ax.subscriber('here').tryReceive()
    await three
    assert.equal(a.publishers, 1)
    ax.close()
    assert.equal(pub.subscribers, 0)
    const none = domain().publisher('here')
    await assert.rejects(none.waitForSubscribers(-1), is('InvalidArgument'))
    await assert.rejects(none.waitForSubscribers(1, { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
  })

  it('matches patterns, also topics that come later', async () => {
    const ax = domain()
    const one = ax.subscriber('orders.*')
    const rest = ax.subscriber('orders.>')
    for (const topic of ['orders.created', 'orders.eu.created', 'invoices.created']) {
      ax.publisher(topic).publish({ topic })
    }
    const topics = (sub) => sub.tryReceiveMany().map((message) => message.topic).sort()
    assert.deepEqual(topics(one), ['orders.created'])
    assert.deepEqual(topics(rest), ['orders.created', 'orders.eu.created'])
  })

  it('starts at the oldest when asked', () => {
    const ax = domain()
    const pub = ax.publisher('log', { retain: true })
    for (let i = 0; i < 3; i++) pub.publish(i)
    assert.equal(ax.subscriber('log').tryReceive(), null)
    assert.deepEqual(ax.subscriber('log', { start: 'oldest' }).tryReceiveMany().map((m) => m.value), [0, 1, 2])
    pub.close()
    const late = ax.subscriber('log', { start: 'oldest' })
    assert.deepEqual(late.tryReceiveMany().map((m) => m.value), [0, 1, 2])
    late.close()
    ax.unlink('topic', 'log')
  })

  it('remembers publishers that come and go', () => {
    const ax = domain()
    const sub = ax.subscriber('churn.*')
    for (let i = 0; i < 1500; i++) {
      const pub = ax.publisher(`churn.${i % 3}`)
      pub.publish(i)
      const message = sub.tryReceive()
      assert.equal(message.value, i)
      assert.equal(message.topic, `churn.${i % 3}`)
      assert.equal(message.publisher, pub.id)
      pub.close()
    }
  })

  it('shows itself', () => {
    const { pub, sub } = pair()
    pub.publish({ id: 1 })
    assert.match(inspect(pub), /^Publisher \{.*topic: 't',.*published: 1,/s)
    assert.match(inspect(sub), /^Subscriber \{.*pattern: 't',.*received: 0,/s)
    const message = sub.tryReceive()
    assert.match(inspect(message), /^Message \{.*topic: 't',.*content: 'json',/s)
    pub.close()
    sub.close()
    assert.equal(inspect(pub), "Publisher { topic: 't', closed: true }")
    assert.equal(inspect(sub), "Subscriber { pattern: 't', closed: true }")
  })
})
