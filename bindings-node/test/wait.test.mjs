// Waiting in the event loop: promises, timeouts, signals, iteration.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { domain, is, sleep } from './helper.mjs'

function pair () {
  const ax = domain()
  const sub = ax.subscriber('t')
  return { ax, sub, pub: ax.publisher('t') }
}

const threads = () => readdirSync('/proc/self/task').length

describe('waiting', () => {
  it('resolves when a message arrives', async () => {
    const { pub, sub } = pair()
    const waiting = sub.receive()
    await sleep(20)
    pub.publish({ n: 1 })
    assert.deepEqual((await waiting).value, { n: 1 })
    pub.publish({ n: 2 })
    assert.deepEqual((await sub.receive({ timeout: 0 })).value, { n: 2 })
    for (let n = 3; n < 200; n++) {
      setImmediate(() => pub.publish(n))
      assert.equal((await sub.receive({ timeout: 5000 })).value, n)
    }
  })

  it('takes neither a thread nor the processor', async () => {
    const handles = Array.from({ length: 20 }, pair)
    await Promise.all(handles.map(({ sub }) => assert.rejects(sub.receive({ timeout: 1 }), is('Timeout'))))
    const before = threads()
    const waiting = handles.map(({ sub }) => sub.receive())
    const used = process.cpuUsage()
    await sleep(300)
    const { user, system } = process.cpuUsage(used)
    assert.equal(threads(), before)
    assert.ok(user + system < 150_000, `${user + system} us of processor time in 300 ms of waiting`)
    handles.forEach(({ pub }) => pub.publish(1))
    await Promise.all(waiting)
  })

  it('leaves the libuv pool to others', async () => {
    const { pbkdf2 } = await import('node:crypto')
    const { pub, sub } = pair()
    const waiting = Array.from({ length: 50 }, () => sub.receive())
    await new Promise((resolve) => pbkdf2('a', 'b', 1, 8, 'sha256', resolve))
    for (let i = 0; i < 50; i++) pub.publish(i)
    assert.deepEqual((await Promise.all(waiting)).map((m) => m.value), Array.from({ length: 50 }, (_, i) => i))
  })

  it('times out', async () => {
    const { sub } = pair()
    await assert.rejects(sub.receive({ timeout: 0 }), is('Timeout'))
    for (let i = 0; i < 3; i++) {
      const begun = performance.now()
      await assert.rejects(sub.receive({ timeout: 30 }), is('Timeout'))
      assert.ok(performance.now() - begun >= 28)
    }
    for (const timeout of [-1, NaN, '5', null]) {
      await assert.rejects(sub.receive({ timeout }), is('InvalidArgument'))
    }
    const long = sub.receive({ timeout: 1e12 })
    await sleep(20)
    sub.close()
    await assert.rejects(long, is('Closed'))
  })

  it('refuses what is no signal before it does anything', async () => {
    const { ax, pub, sub } = pair()
    const queue = ax.queue('signals')
    const { ticket } = queue.put('job', { result: true })
    const job = queue.tryGet()
    const calls = {
      receive: (options) => sub.receive(options),
      publishAsync: (options) => pub.publishAsync(1, options),
      loanAsync: (options) => pub.loanAsync(1, () => assert.fail('lent'), options),
      putAsync: (options) => queue.putAsync(1, options),
      putMany: (options) => queue.putMany([1], options),
      get: (options) => queue.get(options),
      ackAsync: (options) => job.ackAsync(undefined, options),
      result: (options) => ticket.result(options),
      sync: (options) => queue.sync(options),
      acquire: (options) => ax.mutex('m').acquire(options),
      barrier: (options) => ax.barrier('b', 2).wait(options),
      subscriber: async (options) => ax.subscriber('t', options)
    }
    for (const [name, call] of Object.entries(calls)) {
      for (const [signal, shown] of [[5, '5 (number)'], [{}, '{} (object)'], [null, 'null'], [new AbortController(), null]]) {
        await assert.rejects(call({ timeout: 1, signal }), (error) => {
          const text = /^signal is (.*); it must be an AbortSignal$/s.exec(error.message)?.[1]
          return is('InvalidArgument')(error) && (shown === null ? /AbortController/.test(text) : text === shown)
        }, `${name} with ${shown}`)
      }
    }
    await sleep(10)
    assert.equal(sub.tryReceive(), null)
    assert.equal(job.settled, false)
    const { put, ready } = queue.stats()
    assert.deepEqual([put, ready], [1, 0], 'nothing was done')
    queue.close()
    ax.unlink('queue', 'signals')
  })

  it('hands out messages in the order of the calls', async () => {
    const { pub, sub } = pair()
    const first = sub.receive()
    const impatient = sub.receive({ timeout: 10 })
    const third = sub.receive()
    await assert.rejects(impatient, is('Timeout'))
    pub.publish('a')
    pub.publish('b')
    assert.equal((await first).value, 'a')
    assert.equal((await third).value, 'b')
  })

  it('stops at a signal with its reason', async () => {
    const { pub, sub } = pair()
    const controller = new AbortController()
    const { signal } = controller
    const waiting = sub.receive({ signal })
    await sleep(10)
    assert.equal(getEventListeners(signal, 'abort').length, 1)
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(waiting, (error) => error === reason)
    await assert.rejects(sub.receive({ signal }), (error) => error === reason)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    await assert.rejects(sub.receive({ signal: AbortSignal.abort() }), { name: 'AbortError' })
    await assert.rejects(sub.receive({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    const other = new AbortController().signal
    for (let i = 0; i < 30; i++) {
      setImmediate(() => pub.publish(i))
      assert.equal((await sub.receive({ signal: other, timeout: 1000 })).value, i)
    }
    assert.equal(getEventListeners(other, 'abort').length, 0, 'no listener is left behind')
  })

  it('iterates for ever, and again after a break', async () => {
    const { pub, sub } = pair()
    const got = []
    for (let i = 0; i < 3; i++) pub.publish(i)
    const later = setInterval(() => pub.publish('later'), 5)
    for await (const { value } of sub) {
      got.push(value)
      if (got.length === 5) break
    }
    clearInterval(later)
    assert.deepEqual(got, [0, 1, 2, 'later', 'later'])
    while (sub.tryReceive() !== null);
    setImmediate(() => pub.publish('again'))
    for await (const { value } of sub) {
      assert.equal(value, 'again')
      break
    }
  })

  it('ends an iteration when the subscriber or the domain is closed here', async () => {
    for (const what of ['sub', 'ax']) {
      const handles = pair()
      handles.pub.publish(1)
      setTimeout(() => handles[what].close(), 20)
      let count = 0
      for await (const { value } of handles.sub) count += value
      assert.equal(count, 1)
      await assert.rejects(async () => { for await (const m of handles.sub) assert.fail(m) }, is('Closed'))
    }
  })

  it('ends an iteration at the signal of the subscriber', async () => {
    const ax = domain()
    const controller = new AbortController()
    const sub = ax.subscriber('t', { signal: controller.signal })
    ax.publisher('t').publish(1)
    const reason = new Error('over')
    const loop = (async () => { for await (const { value } of sub) assert.equal(value, 1) })()
    const waiting = sub.receive()
    setTimeout(() => controller.abort(reason), 20)
    await assert.rejects(loop, (error) => error === reason)
    await assert.rejects(waiting, (error) => error === reason)
    assert.throws(() => sub.tryReceive(), (error) => error === reason)
    await assert.rejects(sub.receive(), (error) => error === reason)
    assert.equal(sub.closed, true)
    const never = ax.subscriber('t', { signal: AbortSignal.abort(reason) })
    assert.equal(never.closed, true)
    await assert.rejects(async () => { for await (const m of never) assert.fail(m) }, (error) => error === reason)
  })

  it('lets timers run while messages never stop', async () => {
    const { pub, sub } = pair()
    let ticks = 0
    const timer = setInterval(() => { ticks++ }, 1)
    const end = performance.now() + 200
    let count = 0
    for await (const message of (pub.publish(0), sub)) {
      count += 1
      if (performance.now() > end) break
      pub.publish(message.value)
    }
    clearInterval(timer)
    assert.ok(ticks >= 20, `${ticks} ticks in 200 ms`)
    assert.ok(count > 1000, `${count} messages in 200 ms`)
  })

  it('receives many', async () => {
    const { pub, sub } = pair()
    setTimeout(() => pub.publishMany([1, 2, 3]), 10)
    assert.deepEqual((await sub.receiveMany(2)).map((m) => m.value), [1, 2])
    assert.deepEqual((await sub.receiveMany(2, { timeout: 0 })).map((m) => m.value), [3])
    await assert.rejects(sub.receiveMany(2, { timeout: 5 }), is('Timeout'))
  })

  it('notices a publisher that begins later', async () => {
    const ax = domain()
    const sub = ax.subscriber('late.>')
    const waiting = sub.receive({ timeout: 5000 })
    await sleep(20)
    ax.publisher('late.one').publish('hello')
    assert.equal((await waiting).value, 'hello')
  })

  it('gives a descriptor to other loops', async () => {
    const { pub, sub } = pair()
    assert.ok(Number.isInteger(sub.fd) && sub.fd > 2)
    assert.ok(Number.isInteger(pub.fd) && pub.fd > 2)
    assert.equal(sub.tryReceive(), null)
    setTimeout(() => pub.publish('x'), 10)
    assert.equal((await sub.receive({ timeout: 1000 })).value, 'x')
  })
})
