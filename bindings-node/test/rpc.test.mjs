import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { afterEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { AxonicError, Client, Status, child, domain, is, setLogger, sleep, until } from './helper.mjs'

let last

/** A service, and a client of it. */
function pair (methods, options = {}, clientOptions = options) {
  const ax = last = domain()
  const service = ax.service('s', '1.2.0', methods, options)
  return { ax, service, client: ax.client('s', '^1.2', clientOptions) }
}

/** Checks for the failure of a call with this code. */
function failed (kind, code, more = {}) {
  return (error) => {
    is(kind)(error)
    assert.equal(error.status.code, code, error.message)
    for (const [name, value] of Object.entries(more)) assert.deepEqual(error.status[name], value, name)
    return true
  }
}

const WAITS = ['adaptive', 'spin']

for (const wait of WAITS) {
  describe(`rpc, waiting ${wait}`, () => {
    // Services that spin would go on to the end of the file.
    afterEach(() => last.close())

    it('answers calls', async () => {
      const { client, service } = pair({
        echo: (value) => value,
        add: async ({ a, b }) => { await sleep(1); return a + b },
        nothing () {},
        self () { return Object.keys(this).length }
      }, { wait })
      assert.equal(await client.add({ a: 1, b: 2 }), 3)
      assert.equal(await client.call('add', { a: 1, b: 3 }, { timeout: 5000 }), 4)
      assert.equal(await client.add({ a: 1, b: 4 }, { timeout: Infinity }), 5)
      assert.equal(await client.nothing(), null)
      assert.equal(await client.self(), 4)
      const values = [{ x: ['é', null, 1.5] }, 'text', 7, null, [], Buffer.from('raw'), Buffer.alloc(0), Buffer.alloc(700_000, 3), 'é'.repeat(200_000)]
      for (const value of values) assert.deepEqual(await client.echo(value), value)
      assert.deepEqual(await client.echo(), {}, 'no arguments')
      const tensor = await client.echo(Object.assign(new Float32Array(6), { shape: [2, 3] }))
      assert.deepEqual([tensor.constructor, tensor.dtype, tensor.shape], [Float32Array, 'float32', [2, 3]])
      assert.equal(service.atWork, 0)
      assert.equal(client.underWay, 0)
    })

    it('has many calls under way', async () => {
      const { client } = pair({ later: async ({ i }) => { await sleep(i % 7); return i } }, { wait, concurrency: 1000 })
      const results = await Promise.all(Array.from({ length: 500 }, (_, i) => client.later({ i }, { timeout: 20_000 })))
      assert.deepEqual(results, Array.from({ length: 500 }, (_, i) => i))
    })

    it('streams results, no faster than they are taken', async () => {
      let made = 0
      let finished = false
      const { client } = pair({
        async * count ({ to, size = 1 }, ctx) {
          try {
            for (let i = 0; i < to; i++) {
              made++
              yield size === 1 ? i : Buffer.alloc(size, i)
            }
            return 'all'
          } finally {
            finished = true
          }
        },
        * plain ({ to }) { for (let i = 0; i < to; i++) yield i },
        one: () => 'one'
      }, { wait })
      const got = []
      for await (const i of client.count.stream({ to: 5 })) got.push(i)
      assert.deepEqual(got, [0, 1, 2, 3, 4])
      const stream = client.stream('plain', { to: 1 })
      assert.deepEqual(await Promise.all([stream.next(), stream.next(), stream.next()]), [
        { value: 0, done: false }, { value: null, done: true }, { value: undefined, done: true }
      ])
      const one = client.one.stream()
      assert.deepEqual([await one.next(), await one.next()], [{ value: 'one', done: false }, { value: null, done: true }])
      assert.deepEqual(await client.count.stream({ to: 0 }).next(), { value: 'all', done: true })
      const end = client.count.stream({ to: 1 })
      await end.next()
      assert.deepEqual(await end.next(), { value: 'all', done: true })

      made = 0
      finished = false
      let taken = 0
      for await (const item of client.count.stream({ to: 1000, size: 10_000 })) {
        if (taken === 0) await sleep(30)
        assert.equal(item[0], taken & 255)
        taken++
        assert.ok(made <= taken + 100, `${made} were made for ${taken}`)
        if (taken === 200) break
      }
      await until(() => finished, 'the generator hears that nobody takes more')
      assert.ok(made < 400, String(made))
      await assert.rejects(client.count({ to: 1 }), failed('CallFailed', 'INVALID_ARGUMENT', { reason: 'stream' }))
    })

    it('lets others go on while it streams', async () => {
      let made = 0
      const { client } = pair({ * endless () { for (;;) { made++; yield 0 } }, async * later () { for (;;) { made++; yield 0 } }, add: ({ a }) => a + 1 }, { wait })
      for (const method of ['endless', 'later']) {
        made = 0
        const stream = client[method].stream()
        assert.equal((await stream.next()).value, 0)
        assert.equal(await client.add({ a: 1 }, { timeout: 10_000 }), 2)
        assert.ok(made < 50_000, `${made} of the 262,144 that may be on their way`)
        await stream.return()
      }
    })

    it('takes a stream', async () => {
      const { client } = pair({
        async sum (params, ctx) {
          let sum = params.from ?? 0
          for await (const { length } of ctx.input) sum += length
          return sum
        },
        async first (params, ctx) {
          for await (const item of ctx.input) return item
          return 'none'
        },
        async * double (params, ctx) { for await (const i of ctx.input) yield i * 2 }
      }, { wait })
      const items = Array.from({ length: 300 }, () => Buffer.alloc(5000))
      assert.equal(await client.sum({ from: 1 }, { input: items, timeout: 10_000 }), 1_500_001)
      assert.equal(await client.sum({ from: 1 }), 1, 'nothing is streamed')
      let asked = 0
      async function * endless () { for (;;) { asked++; yield asked; await sleep(1) } }
      assert.equal(await client.first({}, { input: endless() }), 1)
      const before = asked
      await sleep(20)
      assert.ok(asked <= before + 2, 'nobody asks for more')
      const doubled = []
      for await (const i of client.double.stream({}, { input: [1, 2, 3] })) doubled.push(i)
      assert.deepEqual(doubled, [2, 4, 6])
      async function * broken () { yield 1; throw new RangeError('broken input') }
      await assert.rejects(client.sum({}, { input: broken() }), RangeError)
    })

    it('says why a call failed', async () => {
      const told = []
      setLogger((level, message) => { if (level === 'warn') told.push(message) })
      const { ax, client } = pair({
        broken () { throw new RangeError('no such index') },
        async status () {
          throw new Status('NOT_FOUND', 'no order 7', { reason: 'no_such_order', details: { order: 7 }, retryable: true })
        },
        onward: (params, ctx) => other.status(),
        big: () => Buffer.alloc(2_000_000),
        strange: () => 10n,
        own () { throw new class NoStock extends Error {}('no apples') },
        named () { throw Object.assign(new Error(''), { name: 'out_of_stock' }) },
        text () { throw 'just so' }, // eslint-disable-line no-throw-literal
        hasty: () => ax.subscriber('t').receive({ timeout: 1 }),
        short: () => new Promise((resolve, reject) => {
          const signal = AbortSignal.timeout(1)
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
        aborted () { throw new DOMException('enough', 'AbortError') },
        async * late () { yield 1; throw new TypeError('later') }
      }, { wait, maxMessage: 1 << 20 })
      const other = ax.client('s', '1')
      await assert.rejects(client.broken(), failed('CallFailed', 'UNKNOWN', { reason: 'RangeError', message: 'no such index', retryable: false, details: null }))
      const status = { reason: 'no_such_order', message: 'no order 7', retryable: true, details: { order: 7 } }
      await assert.rejects(client.status(), failed('CallFailed', 'NOT_FOUND', status))
      const origin = await client.status().catch((error) => error.status.origin)
      assert.match(origin, /^s@1\.2\.0 \(.*pid \d+\)$/)
      await assert.rejects(client.onward(), failed('CallFailed', 'NOT_FOUND', { ...status, origin }))
      await assert.rejects(client.big(), failed('CallFailed', 'RESOURCE_EXHAUSTED'))
      await assert.rejects(client.strange(), failed('CallFailed', 'UNKNOWN', { reason: 'InvalidArgument' }))
      await assert.rejects(client.own(), failed('CallFailed', 'UNKNOWN', { reason: 'NoStock', message: 'no apples' }))
      await assert.rejects(client.named(), failed('CallFailed', 'UNKNOWN', { reason: 'out_of_stock', message: 'out_of_stock' }))
      await assert.rejects(client.text(), failed('CallFailed', 'UNKNOWN', { reason: '', message: 'just so' }))
      await assert.rejects(client.hasty(), failed('Timeout', 'DEADLINE_EXCEEDED', { reason: 'Timeout' }))
      await assert.rejects(client.short(), failed('Timeout', 'DEADLINE_EXCEEDED', { reason: 'TimeoutError' }))
      await assert.rejects(client.aborted(), failed('Cancelled', 'CANCELLED', { message: 'enough' }))
      await assert.rejects(client.nonsense(), (error) => failed('CallFailed', 'UNIMPLEMENTED')(error) && /it has broken, status/.test(error.message))
      const stream = client.late.stream()
      assert.equal((await stream.next()).value, 1)
      await assert.rejects(stream.next(), failed('CallFailed', 'UNKNOWN', { reason: 'TypeError' }))
      await assert.rejects(client.broken(10n), is('InvalidArgument'))
      assert.throws(() => new Status('NONSENSE', ''), is('InvalidArgument'))
      await until(() => told.some((text) => text.includes('RangeError: no such index')), 'a bug is logged')
      assert.ok(!told.some((text) => text.includes('no order 7')), 'a told failure is not')
      setLogger(null)
    })

    it('answers whatever a handler throws', async () => {
      const changed = (changes) => Object.assign(new Status('NOT_FOUND', 'no'), changes)
      const throwing = (key) => Object.defineProperty(new Error('x'), key, { get () { throw new Error('getter') } })
      const { proxy, revoke } = Proxy.revocable(new Error('x'), {})
      revoke()
      const thrown = {
        UNKNOWN: [undefined, null, 5n, Symbol('s'), Object.freeze(new Error('x')), Object.assign(new Error('x'), { name: 'constructor' })],
        INTERNAL: [
          Object.create(null), proxy, ...['message', 'name', 'stack'].map(throwing),
          changed({ code: 'NONE' }), changed({ reason: 5 }), changed({ retryable: 'yes' }), changed({ message: Symbol('s') }),
          Object.assign(new AxonicError('Timeout', 'x'), { status: null })
        ]
      }
      const { client, service } = pair({
        now ([code, index]) { throw thrown[code][index] },
        async later ([code, index]) { await null; throw thrown[code][index] },
        odd: () => ({ toJSON () { throw Object.create(null) } })
      }, { wait })
      setLogger(() => {})
      for (const [code, all] of Object.entries(thrown)) {
        for (const index of all.keys()) {
          await assert.rejects(client.now([code, index], { timeout: 5000 }), failed('CallFailed', code), `${code} ${index}`)
          await assert.rejects(client.later([code, index], { timeout: 5000 }), failed('CallFailed', code), `${code} ${index}`)
        }
      }
      await assert.rejects(client.odd({}, { timeout: 5000 }), failed('CallFailed', 'INTERNAL'))
      assert.equal(service.atWork, 0)
      setLogger(null)
      for (const options of [{ reason: 5 }, { reason: null }, { retryable: 'yes' }]) {
        assert.throws(() => new Status('ABORTED', 'x', options), is('InvalidArgument'))
      }
    })

    it('gives up when the time is over, when told to, and when nobody takes a stream', async () => {
      const given = []
      const { client, service } = pair({
        async sleepy ({ id }, ctx) {
          assert.ok(ctx.remaining > 0)
          await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
          given.push([id, ctx.signal.reason.kind, ctx.cancelled])
          ctx.signal.throwIfAborted()
        },
        async * endless (params, ctx) {
          ctx.signal.addEventListener('abort', () => given.push(['stream', ctx.signal.reason.kind, ctx.cancelled]))
          for (;;) { yield 1; await sleep(1) }
        }
      }, { wait })
      const begun = performance.now()
      await assert.rejects(client.sleepy({ id: 1 }, { timeout: 30 }), failed('Timeout', 'DEADLINE_EXCEEDED'))
      assert.ok(performance.now() - begun >= 29, 'not before')
      await assert.rejects(client.sleepy({ id: 2 }, { signal: AbortSignal.timeout(30) }), { name: 'TimeoutError' })
      await assert.rejects(client.sleepy({ id: 3 }, { signal: AbortSignal.abort(new Error('early')) }), /early/)
      for await (const item of client.endless.stream()) if (item === 1) break
      const stream = client.endless.stream({}, { signal: AbortSignal.timeout(20) })
      await assert.rejects(async () => { for await (const item of stream) assert.equal(item, 1) }, { name: 'TimeoutError' })
      await assert.rejects(async () => { for await (const item of client.endless.stream({}, { timeout: 20 })) assert.equal(item, 1) }, failed('Timeout', 'DEADLINE_EXCEEDED'))
      await until(() => given.length === 5, () => `all are told: ${inspect(given)}`)
      assert.deepEqual(given.map(([id]) => id), [1, 2, 'stream', 'stream', 'stream'])
      for (const [, kind, cancelled] of given) assert.deepEqual([kind, cancelled], ['Cancelled', true])
      await until(() => service.atWork === 0, 'nothing is left')
    })

    it('stands by no stream that its caller has left', async () => {
      const never = { left: 0, next: () => new Promise(() => {}), return () { this.left++; return {} }, [Symbol.asyncIterator] () { return this } }
      let ended = 0
      const { client, service } = pair({
        quiet: () => never,
        async * silent () { try { yield 1; await new Promise(() => {}) } finally { ended++ } },
        sum: async (params, ctx) => (await ctx.input.next()).value
      }, { wait, concurrency: 4 })
      for (let i = 0; i < 10; i++) {
        const [quiet, silent] = [client.quiet.stream({}, { timeout: 20 }), client.silent.stream()]
        assert.equal((await silent.next()).value, 1)
        await silent.return()
        await assert.rejects(quiet.next(), failed('Timeout', 'DEADLINE_EXCEEDED'))
      }
      await until(() => service.atWork === 0 && never.left === 10, 'no place is held')
      const input = { left: 0, first: true, next () { return this.first ? { value: 7, first: this.first = false } : new Promise(() => {}) }, return () { this.left++; return {} }, [Symbol.asyncIterator] () { return this } }
      assert.equal(await client.sum({}, { input }), 7)
      await until(() => input.left === 1, 'nobody reads what feeds a call that is over')
      for (const reason of [null, undefined]) {
        const thrown = await client.sum({}, { input: (async function * () { throw reason })() }).then(() => 'none', (error) => error)
        assert.equal(thrown, reason)
      }
      const controller = new AbortController()
      const aborted = client.quiet.stream({}, { signal: controller.signal }).next()
      await until(() => service.atWork === 1, 'it has begun')
      controller.abort(null)
      assert.equal(await aborted.then(() => 'none', (error) => error), null)
    })

    it('waits for one signal with many calls', async () => {
      const { client, service } = pair({ hang: (params, ctx) => new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)) }, { wait })
      const controller = new AbortController()
      const { signal } = controller
      const calls = Array.from({ length: 40 }, () => client.hang({}, { signal }))
      await until(() => service.atWork === 40, 'they are under way')
      assert.equal(getEventListeners(signal, 'abort').length, 1)
      calls.push(client.call('hang', {}, { signal, timeout: 1 }))
      await assert.rejects(calls.pop(), failed('Timeout', 'DEADLINE_EXCEEDED'))
      controller.abort(new Error('enough'))
      for (const call of calls) await assert.rejects(call, /enough/)
      await until(() => service.atWork === 0, 'their handlers are told')
      assert.equal(getEventListeners(signal, 'abort').length, 0)
      const spare = new AbortController().signal
      await assert.rejects(client.hang({}, { signal: spare, timeout: 1 }), failed('Timeout', 'DEADLINE_EXCEEDED'))
      assert.equal(getEventListeners(spare, 'abort').length, 0)
    })

    it('calls while it says what it calls with', async () => {
      const { client } = pair({ left: (params, ctx) => ctx.remaining < Infinity }, { wait })
      await client.left({})
      const calling = (options) => ({ toJSON () { client.left({}, options).catch(() => {}); return {} } })
      assert.equal(await client.left(calling({ timeout: 5000 })), false)
      assert.equal(await client.left(calling({}), { timeout: 5000 }), true)
    })

    it('has no more calls at work than may be', async () => {
      let [now, most] = [0, 0]
      const { client } = pair({
        async busy () {
          most = Math.max(most, ++now)
          await sleep(5)
          now--
        }
      }, { wait, concurrency: 3 })
      await Promise.all(Array.from({ length: 20 }, () => client.busy({}, { timeout: 10_000 })))
      assert.equal(most, 3)
    })
  })
}

describe('rpc', () => {
  it('gives handlers a context', async () => {
    const seen = []
    const { client } = pair({
      async work (params, ctx) {
        seen.push([ctx.service, ctx.method, ctx.caller.pid, ctx.remaining, ctx.traceparent, ctx.cancelled])
        ctx.progress(0.5, 'half')
        ctx.log('info', 'at work')
        await sleep(20)
        ctx.progress(1)
        seen.push(inspect(ctx))
        return 'done'
      }
    })
    const [progress, told] = [[], []]
    setLogger((level, message) => { told.push([level, message]) })
    assert.equal(await client.work({}, { progress: (fraction, note) => progress.push([fraction, note]) }), 'done')
    assert.deepEqual(seen[0], ['s', 'work', process.pid, Infinity, null, false])
    assert.equal(seen[1], "Context { service: 's', method: 'work', cancelled: false }")
    assert.deepEqual(progress[0], [0.5, 'half'])
    setLogger(null)
    assert.deepEqual(told.filter(([level]) => level === 'info'), [['info', "service 's': work: at work"]])
    await assert.rejects(client.work({}, { progress: 7 }), is('InvalidArgument'))
  })

  it('carries a trace on', async () => {
    const { client } = pair({
      async outer (params, ctx) {
        await sleep(1)
        return [ctx.traceparent, await client.inner(), await client.inner({}, { attributes: { traceparent: 'own' } })]
      },
      async * outers () { for (let n = 0; n < 2; n++) yield await client.inner() },
      inner: (params, ctx) => ctx.traceparent
    })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    assert.deepEqual(await client.outer({}, { attributes: { traceparent } }), [traceparent, traceparent, 'own'])
    const streamed = []
    const options = { attributes: { traceparent }, timeout: Infinity }
    for await (const item of client.outers.stream({}, options)) streamed.push(item)
    assert.deepEqual(streamed, [traceparent, traceparent])
    assert.equal(await client.inner(), null, 'outside of a handler there is none')
    assert.deepEqual(await client.outer(), [null, null, 'own'])
  })

  it('carries a trace from message to call to message', async () => {
    const ax = last = domain()
    const done = ax.subscriber('done')
    const topic = ax.publisher('done')
    const jobs = ax.queue('jobs')
    ax.service('middle', '1.0.0', {
      async work (params) {
        topic.publish(params)
        await topic.publishAsync(Buffer.from('bytes'))
        topic.publish(params, { attributes: { traceparent: 'own' } })
        topic.publishMany([1, 2])
        jobs.put('job')
      }
    })
    const client = ax.client('middle', '^1')
    const traces = async () => {
      const seen = []
      while (seen.length < 5) seen.push((await done.receive({ timeout: 5000 })).attributes?.traceparent)
      return seen
    }
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const carried = [traceparent, traceparent, 'own', traceparent, traceparent]
    await client.work({}, { attributes: { traceparent } })
    assert.deepEqual(await traces(), carried)
    const worker = jobs.worker(async () => { await client.work({}); jobs.purge() })
    assert.deepEqual(await traces(), carried)
    await worker.stop()
    jobs.purge()
    await client.work({})
    assert.deepEqual(await traces(), [undefined, undefined, 'own', undefined, undefined])
    jobs.purge()
  })

  it('is unavailable at once where nobody is', async () => {
    const ax = domain()
    const client = ax.client('s', '^1')
    await assert.rejects(client.anything(), failed('Unavailable', 'UNAVAILABLE', { retryable: true }))
    await assert.rejects(client.anything.stream().next(), is('Unavailable'))
    const service = ax.service('s', '2.0.0', { anything: () => 1 })
    await assert.rejects(client.anything(), (error) => is('Unavailable')(error) && error.message.includes('there is 2.0.0'))
    service.close()
    const old = ax.service('s', '1.0.0', { async anything (params, ctx) { await new Promise(() => {}) } })
    const call = client.anything()
    await until(() => old.atWork === 1)
    old.close()
    await assert.rejects(call, failed('Unavailable', 'UNAVAILABLE', { retryable: false }))
    await assert.rejects(client.anything(), is('Unavailable'))
    ax.service('s', '1.1.0', { anything: () => 'again' })
    assert.equal(await client.anything(), 'again')
  })

  it('is called at an address too', async () => {
    const { ax, service } = pair({ echo: (value) => value })
    const address = service.listen(`shm://${ax.name}/elsewhere`)
    const client = ax.client('s', '^1', { address })
    assert.equal(await client.echo('x', { timeout: 5000 }), 'x')
    await assert.rejects(ax.client('other', '^1', { address }).echo('x'), is('Unavailable'))
    service.close()
    await assert.rejects(client.echo('x', { timeout: 5000 }), is('Unavailable'))
  })

  it('ends with its standard input, when all that came through it is answered', async () => {
    const ax = domain()
    const { process: service, ended } = child('rpc', ax.name, 'stdio')
    service.stdin.end('{"jsonrpc":"2.0","method":"echo","params":[7],"id":1}\n')
    const { code, stdout, stderr } = await ended
    assert.deepEqual([code, stdout, stderr], [0, '{"jsonrpc":"2.0","result":7,"id":1}\n', ''])
  })

  it('tells JSON-RPC one result or a stream, as the method has it', async () => {
    const { service } = pair({
      add: ({ a, b }) => a + b,
      async nothing () {},
      * count ({ upTo }) { for (let n = 0; n < upTo; n++) yield n }
    })
    const socket = connect(Number(service.listen('tcp://127.0.0.1:0').split(':').at(-1)))
    const lines = createInterface(socket)[Symbol.asyncIterator]()
    const call = async (method, params) => {
      socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })}\n`)
      return JSON.parse((await lines.next()).value).result
    }
    assert.equal(await call('add', { a: 1, b: 2 }), 3)
    assert.equal(await call('nothing', {}), null)
    for (const items of [[], [0], [0, 1]]) assert.deepEqual(await call('count', { upTo: items.length }), items)
    socket.destroy()
    service.close()
  })

  it('shares the load among providers, and goes on without one', async () => {
    const { ax, service, client } = pair({ who: () => 'a' })
    assert.equal(await client.who(), 'a')
    const other = ax.service('s', '1.3.0', { who: () => 'b' })
    const who = new Set()
    await until(async () => { who.add(await client.who()); return who.size === 2 }, 'both are called')
    service.close()
    for (let i = 0; i < 20; i++) assert.equal(await client.who(), 'b')
    other.close()
    await assert.rejects(client.who(), is('Unavailable'))
  })

  it('tells within 100 ms that a provider or a client died', async () => {
    const ax = domain()
    const provider = child('rpc', ax.name, 'serve')
    await provider.said('serving')
    const client = ax.client('child', '^1')
    assert.equal(await client.echo('x'), 'x')
    const hung = client.hang()
    const silent = client.silent.stream().next()
    await until(async () => (await client.atWork()) === 3)
    let killed = performance.now()
    provider.process.kill('SIGKILL')
    await assert.rejects(hung, failed('Unavailable', 'UNAVAILABLE', { retryable: false }))
    await assert.rejects(silent, is('Unavailable'))
    assert.ok(performance.now() - killed < 1000, `${performance.now() - killed} ms`)

    let gone
    const service = ax.service('parent', '1.0.0', {
      async hang (params, ctx) {
        await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
        gone = performance.now()
      }
    })
    const caller = child('rpc', ax.name, 'call')
    await until(() => service.atWork === 1)
    killed = performance.now()
    caller.process.kill('SIGKILL')
    await until(() => gone !== undefined)
    assert.ok(gone - killed < 1000, `${gone - killed} ms`)
    service.close()
    await Promise.all([provider.ended, caller.ended])
    // The file of a listener that died stays until somebody listens there again, and of services each has its own.
    rmSync(`${ax.path}/listeners`, { recursive: true })
  })

  it('sends more than there is room for without waiting', async () => {
    const { client } = pair({ length: ({ length }) => length }, { concurrency: 4 })
    const large = Buffer.alloc(100_000)
    const lengths = await Promise.all(Array.from({ length: 50 }, () => client.length(large, { timeout: 10_000 })))
    assert.deepEqual(lengths, Array.from({ length: 50 }, () => 100_000))
  })

  it('is closed with its domain, and calls end with it', async () => {
    const { ax, service, client } = pair({ hang: () => new Promise(() => {}) })
    const call = client.hang()
    const stream = client.hang.stream().next()
    await until(() => service.atWork === 2)
    ax.close()
    await assert.rejects(call, is('Closed'))
    await assert.rejects(stream, is('Closed'))
    await assert.rejects(client.hang(), is('Closed'))
    assert.ok(service.closed && client.closed)
    assert.equal(inspect(service), "Service { name: 's', version: '1.2.0', closed: true }")
    assert.equal(inspect(client), "Client { service: 's', closed: true }")
  })

  it('is unavailable when providers come and go', async () => {
    const require = createRequire(import.meta.url)
    const ax = require('../lib/native.js').Domain.open({ name: domain().name }, require('../lib/internal.js').getScratch().native)
    const native = ax.client('s', '^1', {})
    let tries = 0
    const gone = () => { tries++; return -1 }
    // All its providers go just when they are to be called.
    const fickle = {
      bindCall: () => gone,
      bindCallScratch: () => gone,
      start: gone,
      connect: () => ({ take: () => true, giveUp () {} })
    }
    const get = (_, name) => fickle[name] ?? native[name].bind(native)
    const client = new Client(new Proxy({}, { get }), 's', { ends: new Set(), busy: new Set() })
    const told = failed('Unavailable', 'UNAVAILABLE', { retryable: true, message: "service 's': its providers come and go; call again" })
    await assert.rejects(client.call('m', {}, { attributes: { a: '1' } }), told)
    assert.equal(tries, 17)
    client.close()
    ax.close()
  })

  it('says that a call was not sent in time', async () => {
    const ax = domain()
    const deaf = ax.listen(`shm://${ax.name}/deaf`)
    const client = ax.client('s', '^1', { address: deaf.address })
    const first = assert.rejects(client.m(), is('Closed'))
    const told = failed('Timeout', 'DEADLINE_EXCEEDED', { retryable: true, details: null })
    await assert.rejects(client.m({}, { timeout: 20 }), (error) => told(error) && /let it connect in 20 ms/.test(error.message))
    client.close()
    await first
    deaf.close()
  })

  it('keeps no process alive but one that serves', async () => {
    const ax = domain()
    const service = ax.service('parent', '1.0.0', { echo: (value) => value })
    const caller = child('rpc', ax.name, 'once')
    assert.deepEqual((({ code, stdout }) => [code, stdout])(await caller.ended), [0, 'x\n'])
    service.close()
  })

  it('leaves the loop alone while nothing happens', async () => {
    const { client } = pair({ hang: () => new Promise(() => {}) })
    const calls = [1, 2].map(() => assert.rejects(client.hang({}, { timeout: 400 }), is('Timeout')))
    await sleep(20)
    const { user, system } = process.cpuUsage()
    await sleep(300)
    const used = process.cpuUsage({ user, system })
    assert.ok(used.user + used.system < 150_000, JSON.stringify(used))
    await Promise.all(calls)
  })

  it('refuses what cannot be', async () => {
    const ax = domain()
    assert.throws(() => ax.service('s', '1', {}), is('InvalidArgument'))
    assert.throws(() => ax.service('s', '1.0.0', { x: 7 }), is('InvalidArgument'))
    assert.throws(() => ax.service('s', '1.0.0'), is('InvalidArgument'))
    assert.throws(() => ax.service('a@b', '1.0.0', {}), is('InvalidName'))
    assert.throws(() => ax.service('s', '1.0.0', {}, { concurrency: 0 }), is('InvalidArgument'))
    assert.throws(() => ax.client('s', 'nonsense'), is('InvalidArgument'))
    const client = ax.client('s', '^1')
    assert.ok(client instanceof Client)
    assert.equal(client.then, undefined)
    assert.throws(() => client.call(7), is('InvalidArgument'))
    await assert.rejects(client.call('m', {}, { timeout: -1 }), is('InvalidArgument'))
    assert.throws(() => client.stream('m', {}, { signal: 1 }), is('InvalidArgument'))
    assert.equal(inspect(client), "Client { service: 's', underWay: 0 }")
  })
})
