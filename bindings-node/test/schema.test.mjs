import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { domain, is, until } from './helper.mjs'

const SCHEMA = { type: 'object', required: ['id'], properties: { id: { type: 'integer' } } }
const LONG = 'x'.repeat(300_000)

/** A publisher held to nothing, and both ends held to the schema. */
function held (options) {
  const ax = domain()
  const sub = ax.subscriber('orders', { schema: SCHEMA })
  return { sub, pub: ax.publisher('orders', { schema: JSON.stringify(SCHEMA), ...options }), lax: ax.publisher('orders') }
}

/** Checks for the error about a message that was passed over. */
const passedOver = (error) => is('Decode')(error) && /orders.*passed over.*\/id does not satisfy/.test(error.message)

describe('schema', () => {
  it('is an object or JSON text', () => {
    const ax = domain()
    for (const schema of [SCHEMA, JSON.stringify(SCHEMA), {}, 'true', undefined]) {
      const options = Object.freeze({ schema })
      ax.publisher('t', options).close()
      ax.subscriber('t', options).close()
    }
    const circle = {}
    circle.circle = circle
    for (const schema of [{ type: 'nothing' }, [], '', '{', '7', 7, true, () => SCHEMA, circle]) {
      assert.throws(() => ax.publisher('t', { schema }), is('InvalidArgument'))
      assert.throws(() => ax.subscriber('t', { schema }), is('InvalidArgument'))
    }
    assert.throws(() => ax.publisher('t', null), is('InvalidArgument'))
  })

  it('holds every way to publish', async () => {
    const { pub, sub } = held({ overflow: 'block' })
    const attributes = { type: 'order' }
    const bad = [{ id: 'one' }, {}, [], { id: 0.5, LONG }, Buffer.from('{"id":1}'), new ArrayBuffer(8), Float32Array.of(1)]
    for (const value of bad) {
      assert.throws(() => pub.publish(value), is('InvalidArgument'))
      assert.throws(() => pub.publish(value, { attributes }), is('InvalidArgument'))
      await assert.rejects(pub.publishAsync(value), is('InvalidArgument'))
      await assert.rejects(pub.publishAsync(value, { attributes }), is('InvalidArgument'))
      for (const all of [[{ id: 1 }, value], [{ id: 1, LONG }, value]]) {
        assert.throws(() => pub.publishMany(all), is('InvalidArgument'))
        await assert.rejects(pub.publishManyAsync(all), is('InvalidArgument'))
      }
    }
    for (const content of ['json', 'msgpack']) {
      assert.throws(() => pub.publish({ id: 'one' }, { content }), is('InvalidArgument'))
      assert.throws(() => pub.publish(Buffer.from('{'), { content }), is('InvalidArgument'))
    }
    for (const spec of [8, 8000, { shape: [8] }]) {
      let lent
      const fill = (array) => { lent = array.fill(32) }
      assert.throws(() => pub.loan(spec, fill), is('InvalidArgument'))
      await assert.rejects(pub.loan(spec, async (array) => fill(array)), is('InvalidArgument'))
      await assert.rejects(pub.loanAsync(spec, fill), is('InvalidArgument'))
      assert.equal(lent.length, 0)
    }
    assert.equal(sub.tryReceive(), null)

    pub.publish({ id: 1 })
    pub.publish({ id: 2, LONG })
    pub.publish({ id: 3 }, { attributes })
    pub.publish({ id: 4 }, { content: 'msgpack' })
    pub.publish(Buffer.from('{"id":5}'), { content: 'json' })
    await pub.publishAsync({ id: 6 })
    pub.publishMany([{ id: 7 }, { id: 8 }])
    await pub.publishManyAsync([{ id: 9 }, { id: 10, LONG }])
    assert.deepEqual(sub.tryReceiveMany().map((m) => m.value.id), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('holds those in line for room, and lets the next one pass', async () => {
    const { pub, sub } = held({ overflow: 'block', capacity: 65_536 })
    assert.throws(() => { while (true) pub.publish({ id: 0, text: 'x'.repeat(1000) }) }, is('WouldBlock'))
    const ends = Promise.allSettled([{ id: 1, text: 'x'.repeat(1000) }, { id: 'two' }, { id: 3 }].map((v) => pub.publishAsync(v)))
    while ((await sub.receive({ timeout: 5000 })).value.id !== 3);
    const [first, second, third] = await ends
    assert.deepEqual([first.status, third.status], ['fulfilled', 'fulfilled'])
    assert.ok(is('InvalidArgument')(second.reason))
  })

  it('holds every way to receive, and goes on with the next', async () => {
    const { sub, lax } = held()
    const target = Buffer.alloc(100)
    const borrow = (m) => m.value.id
    const now = [
      () => sub.tryReceive().value.id,
      () => sub.tryReceiveMany()[0].value.id,
      () => JSON.parse(target.toString('utf8', 0, sub.tryReceiveInto(target))).id,
      () => sub.tryBorrow(borrow)
    ]
    const later = [
      async () => (await sub.receive()).value.id,
      async () => (await sub.receiveMany())[0].value.id,
      async () => JSON.parse(target.toString('utf8', 0, await sub.receiveInto(target))).id,
      () => sub.borrow(borrow)
    ]
    const odd = [[{ id: 'one' }], [{ id: 'one', LONG }], [{ id: 'one' }, { content: 'msgpack', attributes: { type: 'order' } }]]
    for (const bad of odd) {
      for (const receive of now) {
        lax.publish(...bad)
        lax.publish({ id: 2 })
        assert.throws(receive, passedOver)
        assert.equal(receive(), 2)
        assert.equal(sub.tryReceive(), null)
      }
      for (const receive of later) {
        lax.publish(...bad)
        lax.publish({ id: 2 })
        await assert.rejects(receive(), passedOver)
        assert.equal(await receive(), 2)
        // The same for those who wait already.
        const waiting = [receive(), receive()]
        lax.publish(...bad)
        lax.publish({ id: 3 })
        await assert.rejects(waiting[0], passedOver)
        assert.equal(await waiting[1], 3)
      }
    }
    for (const bytes of [Buffer.from('{"id":1}'), Float32Array.of(1), Buffer.alloc(8000)]) {
      lax.publish(bytes)
      assert.throws(() => sub.tryReceive(), is('Decode'))
    }
    assert.equal(sub.tryReceive(), null)
    assert.equal(sub.missed, 0)
    assert.equal(sub.stats().pinned, 0)
  })

  it('keeps the messages before and after those passed over', async () => {
    const { sub, lax } = held()
    for (const id of [1, 2, 'three', 'four', 5]) lax.publish({ id })
    lax.publish({ id: 6, LONG })
    lax.publish({ id: 'seven' })
    const ids = (messages) => messages.map((m) => m.value.id)
    assert.deepEqual(ids(sub.tryReceiveMany()), [1, 2])
    assert.throws(() => sub.tryReceiveMany(), passedOver)
    await assert.rejects(sub.receiveMany(), passedOver)
    assert.deepEqual(ids(await sub.receiveMany()), [5, 6])
    assert.throws(() => sub.tryReceiveMany(), passedOver)
    assert.deepEqual(sub.tryReceiveMany(), [])
  })

  it('throws once out of an iteration, and another goes on', async () => {
    const { sub, lax } = held()
    const seen = []
    const iterate = async () => {
      for await (const { value } of sub) {
        seen.push(value.id)
        if (value.id === 5) break
      }
    }
    for (const id of [1, 'two', 3]) lax.publish({ id })
    await assert.rejects(iterate(), passedOver)
    const rest = assert.rejects(iterate(), passedOver)
    await until(() => seen.length === 2)
    assert.deepEqual(seen, [1, 3])
    lax.publish({ id: 'four' })
    await rest
    setTimeout(() => lax.publish({ id: 5 }), 10)
    await iterate()
    assert.deepEqual(seen, [1, 3, 5])
  })
})
