import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { child, domain, is, sleep, until } from './helper.mjs'

let count = 0

/** Two ends of a channel over shared memory, and who listened for it. */
async function pair (options) {
  const ax = domain()
  const listener = ax.listen(`shm://${ax.name}/c${count++}`, options)
  const [near, far] = await Promise.all([ax.connect(listener.address, { timeout: Infinity, ...options }), listener.accept()])
  return { ax, listener, near, far }
}

const text = ({ data }) => data.toString()

describe('channel', () => {
  it('carries messages both ways, in order', async () => {
    const { near, far } = await pair()
    const messages = Array.from({ length: 200 }, (_, i) => Buffer.alloc(i * 7, i))
    for (const message of messages) near.send(message)
    for (const message of messages) {
      const received = await far.receive({ timeout: 5000 })
      assert.deepEqual(received.data, message)
      assert.deepEqual(received.descriptors, [])
    }
    assert.equal(far.tryReceive(), null)
    far.send(Float64Array.of(1, 2))
    far.send(new ArrayBuffer(3))
    assert.deepEqual(near.tryReceive().data, Buffer.from(Float64Array.of(1, 2).buffer))
    assert.equal(near.tryReceive().data.length, 3)
    assert.throws(() => near.send('text'), is('InvalidArgument'))
    await assert.rejects(near.sendAsync(7), is('InvalidArgument'))
  })

  it('takes messages that are larger than what there is room for', async () => {
    const { near, far } = await pair()
    const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251))
    // Nobody flushes: what did not go out at once goes by itself.
    near.send(large)
    assert.ok((await far.receive({ timeout: 5000 })).data.equals(large))
    const many = far.sendMany([large, Buffer.from('a'), large, Buffer.from('b')], { timeout: 5000 })
    const lengths = []
    while (lengths.length < 4) lengths.push((await near.receive({ timeout: 5000 })).data.length)
    assert.deepEqual(lengths, [large.length, 1, large.length, 1])
    await many
  })

  it('pushes back, and waits for room in order', async () => {
    const { near, far } = await pair()
    let sent = 0
    assert.throws(() => { while (true) { near.send(Buffer.alloc(10_000, sent)); sent++ } }, is('WouldBlock'))
    assert.ok(sent > 10, String(sent))
    await assert.rejects(near.sendAsync(Buffer.alloc(10_000), { timeout: 10 }), is('Timeout'))
    const aborted = near.sendAsync(Buffer.alloc(10_000), { signal: AbortSignal.timeout(10) })
    await assert.rejects(aborted, { name: 'TimeoutError' })
    const all = Array.from({ length: 100 }, (_, i) => near.sendAsync(Buffer.from([i, 1])))
    assert.throws(() => near.send(Buffer.alloc(1)), is('WouldBlock'), 'others are in line')
    const some = Array.from({ length: 2000 }, (_, i) => Buffer.alloc(1000, i))
    const many = near.sendMany(some, { timeout: 10_000 })
    for (let i = 0; i < sent; i++) assert.equal((await far.receive()).data[0], i & 255)
    for (let i = 0; i < 100; i++) assert.equal((await far.receive({ timeout: 5000 })).data[0], i)
    for (let i = 0; i < some.length; i++) assert.equal((await far.receive({ timeout: 5000 })).data[0], i & 255)
    await Promise.all([...all, many])
    await near.flush({ timeout: 1000 })
    assert.ok(near.stats().blocked > 0)
  })

  it('tells how many of several messages went out', async () => {
    const { near, far } = await pair()
    const some = Array.from({ length: 1000 }, (_, i) => Buffer.alloc(1000, i))
    const sent = await near.sendMany(some, { timeout: 20 })
    assert.ok(sent > 10 && sent < 1000, String(sent))
    await assert.rejects(near.sendMany(some, { timeout: 20 }), is('Timeout'))
    for (let i = 0; i < sent; i++) assert.equal((await far.receive()).data[0], i & 255)
    assert.equal(far.tryReceive(), null)
    assert.equal(await near.sendMany(some.slice(0, 3)), 3)
    assert.equal(await near.sendMany([]), 0)
  })

  it('waits for messages', async () => {
    const { near, far } = await pair()
    setTimeout(() => near.send(Buffer.from('x')), 10)
    assert.equal(text(await far.receive()), 'x')
    await assert.rejects(far.receive({ timeout: 10 }), is('Timeout'))
    await assert.rejects(far.receive({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    const [first, second] = [far.receive(), far.receive()]
    near.send(Buffer.from('1'))
    near.send(Buffer.from('2'))
    assert.deepEqual([text(await first), text(await second)], ['1', '2'])
  })

  it('says that this was all once there is room', async () => {
    const ax = domain()
    const listener = ax.listen('ws://127.0.0.1:0')
    const [near, far] = await Promise.all([ax.connect(listener.address, { timeout: 5000 }), listener.accept()])
    const large = Buffer.alloc(10_000_000, 7)
    near.send(large)
    await assert.rejects(near.finish({ timeout: 20 }), is('Timeout'))
    const finishing = near.finish({ timeout: 5000 })
    assert.ok((await far.receive({ timeout: 5000 })).data.equals(large))
    await finishing
    await assert.rejects(far.receive({ timeout: 5000 }), is('Disconnected'))
  })

  it('ends when the other end has ended and all is received', async () => {
    const { near, far } = await pair()
    near.send(Buffer.from('a'))
    setTimeout(async () => { near.send(Buffer.from('b')); await near.finish() }, 10)
    const got = []
    for await (const message of far) got.push(text(message))
    assert.deepEqual(got, ['a', 'b'])
    await assert.rejects(far.receive(), is('Disconnected'))
    // The other way is open yet.
    far.send(Buffer.from('back'))
    assert.equal(text(await near.receive()), 'back')
    assert.throws(() => near.send(Buffer.from('late')), is('Closed'))
    const waiting = near.receive()
    far.close()
    await assert.rejects(waiting, is('Disconnected'))
  })

  it('ends for whoever waits when it is closed here', async () => {
    const { ax, near, listener } = await pair()
    const waiting = assert.rejects(near.receive(), is('Closed'))
    const iterating = near[Symbol.asyncIterator]().next()
    near.close()
    near.close()
    await waiting
    assert.equal((await iterating).done, true)
    assert.throws(() => near.tryReceive(), is('Closed'))
    const accepting = listener[Symbol.asyncIterator]()
    const channel = ax.connect(listener.address)
    assert.equal((await accepting.next()).done, false)
    const [end] = [accepting.next(), await channel]
    ax.close()
    assert.equal((await end).done, true)
    assert.ok(listener.closed)
  })

  it('tells at once that nobody listens, and gives up when told to', async () => {
    const ax = domain()
    await assert.rejects(ax.connect(`shm://${ax.name}/nobody`), is('NotFound'))
    await assert.rejects(ax.connect('nonsense'), is('InvalidArgument'))
    await assert.rejects(ax.connect(7), is('InvalidArgument'))
    assert.throws(() => ax.listen('shm://'), (error) => error.code.startsWith('AXONIC_INVALID'))
    assert.throws(() => ax.listen(`shm://${ax.name}/x`, { maxMessage: 0 }), is('InvalidArgument'))
    const listener = ax.listen(`shm://${ax.name}/slow`)
    assert.throws(() => ax.listen(`shm://${ax.name}/slow`), is('Busy'))
    await assert.rejects(ax.connect(listener.address, { timeout: 20 }), is('Timeout'))
    await assert.rejects(ax.connect(listener.address, { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    await assert.rejects(ax.connect(listener.address, { signal: AbortSignal.abort(new Error('no')) }), /no/)
    assert.equal(await listener.accept({ timeout: 1000 }).then((channel) => channel.closed), false, 'who was aborted had knocked')
    listener.close()
    await assert.rejects(ax.connect(listener.address), is('NotFound'))
  })

  it('holds to the limit of the smaller end', async () => {
    const ax = domain()
    const listener = ax.listen(`shm://${ax.name}/small`, { maxMessage: 100 })
    const [near] = await Promise.all([ax.connect(listener.address), listener.accept()])
    assert.equal(near.maxMessage, 100)
    assert.throws(() => near.send(Buffer.alloc(101)), is('TooLarge'))
    near.send(Buffer.alloc(100))
    assert.throws(() => near.send(Buffer.alloc(1), { descriptors: [0] }), is('Unsupported'))
    assert.throws(() => near.send(Buffer.alloc(1), { descriptors: [-1] }), is('InvalidArgument'))
  })

  it('says who is at the other end, and what it can do', async () => {
    const { near, far } = await pair()
    assert.equal(near.peer.pid, process.pid)
    const { reliable, ordered, messages, backPressure, end, halfClose, descriptors } = far.can
    assert.deepEqual([reliable, ordered, messages, backPressure, end, halfClose, descriptors], [true, true, true, true, true, true, false])
    near.send(Buffer.from('abc'))
    await far.receive()
    assert.deepEqual(far.stats(), { sentMessages: 0, sentBytes: 0, receivedMessages: 1, receivedBytes: 3, blocked: 0 })
    assert.match(inspect(near, { breakLength: Infinity }), /^Channel \{ address: 'shm:.*', peer: \{ pid: \d+, .*sentMessages: 1,/)
    near.close()
    assert.match(inspect(near), /^Channel \{ address: '.*', closed: true \}/)
  })

  it('tells within 100 ms that the other process died', async () => {
    const ax = domain()
    const listener = ax.listen(`shm://${ax.name}/doomed`)
    const other = child('channel', ax.name, listener.address)
    const channel = await listener.accept({ timeout: 10_000 })
    assert.equal(text(await channel.receive()), 'here')
    const waiting = channel.receive()
    const killed = performance.now()
    other.process.kill('SIGKILL')
    await assert.rejects(waiting, is('Disconnected'))
    const took = performance.now() - killed
    assert.ok(took < 1000, `${took} ms`)
    await other.ended
  })

  it('keeps no process alive that only has it open', async () => {
    const ax = domain()
    const listener = ax.listen(`shm://${ax.name}/idle`)
    const other = child('channel', ax.name, listener.address, 'idle')
    const channel = await listener.accept({ timeout: 10_000 })
    assert.equal(text(await channel.receive()), 'here')
    assert.equal((await other.ended).code, 0)
    await assert.rejects(channel.receive({ timeout: 5000 }), is('Disconnected'))
  })

  it('leaves no descriptors for the garbage collector', async () => {
    const { ax, listener } = await pair()
    const descriptors = () => readdirSync('/proc/self/fd').length
    const before = descriptors()
    for (let i = 0; i < 30; i++) {
      const ends = await Promise.all([ax.connect(listener.address, { timeout: 5000 }), listener.accept({ timeout: 5000 })])
      for (const end of ends) end.close()
    }
    assert.ok(descriptors() < before + 10, `${descriptors()} descriptors, ${before} before`)
  })

  it('leaves the loop alone while nothing happens', async () => {
    const { near, far } = await pair()
    assert.throws(() => { while (true) near.send(Buffer.alloc(10_000)) }, is('WouldBlock'))
    const waiting = [near.sendAsync(Buffer.alloc(10_000), { timeout: 5000 }), near.receive({ timeout: 5000 })]
    await sleep(20)
    const { user, system } = process.cpuUsage()
    await sleep(300)
    const used = process.cpuUsage({ user, system })
    assert.ok(used.user + used.system < 150_000, JSON.stringify(used))
    far.send(Buffer.from('go on'))
    await waiting[1]
    await until(() => { far.tryReceive(); return far.stats().receivedMessages > 5 })
    await waiting[0]
  })
})
