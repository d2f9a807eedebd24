import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { after, afterEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { Reject, child, domain, is, open, setLogger, sleep, until } from './helper.mjs'

const opened = []

/** A queue of its own domain, or of `ax`; after the test it is gone, with what is left in it. */
function queue (options, ax = domain()) {
  const q = ax.queue('q', options)
  opened.push({ ax, q })
  return q
}

afterEach(() => {
  for (const { q } of opened) q.close()
  for (const { ax } of opened.splice(0)) {
    try {
      if (!ax.closed) ax.unlink('queue', 'q')
    } catch (error) {
      is('NotFound')(error)
    }
  }
})

const disk = mkdtempSync('/tmp/axonic-test-node-')
after(() => rmSync(disk, { recursive: true }))
let disks = 0

/** A durable queue with a journal of its own. */
function durable (options) {
  return queue({ durable: true, ...options }, domain(undefined, { dataDir: `${disk}/${disks++}` }))
}

/** Bytes that the thread of the event loop has given to files and pipes so far. */
function givenByThisThread () {
  return Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/self/task/${process.pid}/io`, 'utf8'))[1])
}

function take (q) {
  const job = q.tryGet()
  assert.notEqual(job, null)
  return job
}

describe('queue', { timeout: 60_000 }, () => {
  it('hands every message out once, in order', () => {
    const q = queue()
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), (messages) => {
      for (const message of messages) assert.deepEqual(q.put(message), { duplicate: false, ticket: null })
      for (const message of messages) {
        const job = take(q)
        assert.deepEqual(new Uint8Array(job.data), message)
        job.ack()
      }
      assert.equal(q.tryGet(), null)
    }))
    assert.equal(q.stats().ready, 0)
  })

  it('carries values of all kinds', async () => {
    const q = queue()
    const big = Buffer.alloc(400_000, 7)
    const all = [{ a: [1, null, 'ü'] }, 'text', 5, null, Buffer.from('raw'), big, 'x'.repeat(300_000), new ArrayBuffer(3)]
    for (const value of all) q.put(value)
    for (const value of all) {
      const job = take(q)
      assert.deepEqual(job.value, value instanceof ArrayBuffer ? Buffer.alloc(3) : value)
      assert.equal(job.content, Buffer.isBuffer(job.value) ? 'raw' : 'json')
      assert.equal(job.attributes, null)
      job.ack()
    }
    q.put(Float32Array.of(1.5, 2))
    q.put({ data: Int16Array.of(1, 2, 3, 4), shape: [2, 2] }, { attributes: { type: 'x' } })
    q.put({ packed: true }, { content: 'msgpack' })
    assert.deepEqual([...take(q).value], [1.5, 2])
    const job = take(q)
    assert.deepEqual(job.tensor, { dtype: 'int16', shape: [2, 2] })
    assert.deepEqual(job.value.shape, [2, 2])
    assert.equal(job.attributes.type, 'x')
    assert.deepEqual(take(q).value, { packed: true })
    const wrong = [
      [undefined, "queue 'q': cannot put a value of type undefined; it has no JSON form"],
      [() => {}, "queue 'q': cannot put a value of type function; it has no JSON form"],
      [5n, "queue 'q': cannot put this value as JSON: Do not know how to serialize a BigInt"],
      [{ data: Int8Array.of(1), shape: [2] }, "queue 'q': cannot put a tensor of int8 and shape [2]: it has 2 bytes, but the array has 1"]
    ]
    for (const [value, message] of wrong) {
      for (const options of [undefined, { priority: 1 }]) assert.throws(() => q.put(value, options), { kind: 'InvalidArgument', message })
      await assert.rejects(q.putMany([value]), { kind: 'InvalidArgument', message })
    }
    assert.throws(() => job.ack(5n), { message: /^job of queue 'q': cannot ack with this value as JSON: / })
    assert.throws(() => q.put('text', { content: 'raw' }), { message: /^queue 'q': cannot put a value of type string as raw/ })
  })

  it('serves priorities, delays and expiry', async () => {
    const q = queue()
    q.put('low')
    q.put('high', { priority: 7 })
    q.put('later', { priority: 7, delay: 200 })
    q.put('never', { ttl: 1 })
    assert.equal(take(q).priority, 7)
    assert.equal(take(q).value, 'low')
    await sleep(5)
    assert.equal(q.tryGet(), null)
    assert.deepEqual(q.deadLetters().map(({ value, reason }) => [value, reason]), [['never', 'expired']])
    const begun = performance.now()
    assert.equal((await q.get({ timeout: 5000 })).value, 'later')
    assert.ok(performance.now() - begun > 50)
    assert.throws(() => q.put(1, { priority: 8 }), is('InvalidArgument'))
    assert.throws(() => q.put(1, { priority: -1 }), is('InvalidArgument'))
    assert.throws(() => q.put(1, { delay: -1 }), is('InvalidArgument'))
    assert.throws(() => q.put(1, { ttl: 'soon' }), is('InvalidArgument'))
  })

  it('gives back, rejects, and sends what fails too often to the dead letters', async () => {
    const q = queue({ maxAttempts: 2 })
    q.put('job')
    const first = take(q)
    assert.equal(first.attempt, 1)
    first.nack()
    const second = take(q)
    assert.equal(second.attempt, 2)
    assert.ok(second.token > first.token)
    second.nack()
    assert.equal(q.tryGet(), null)
    q.put({ bad: true })
    take(q).reject('no broom')
    const dead = q.deadLetters()
    assert.deepEqual(dead.map(({ value, reason, reasonText, attempts }) => [value, reason, reasonText, attempts]), [
      ['job', 'attempts', '', 2], [{ bad: true }, 'rejected', 'no broom', 1]
    ])
    assert.equal(q.redrive(1), 1)
    take(q).ack()
    assert.equal(q.purge({ dead: true }), 1)
    q.put('delayed')
    take(q).nack({ delay: 30 })
    assert.equal(q.tryGet(), null)
    assert.equal((await q.get({ timeout: 5000 })).attempt, 2)
  })

  it('settles a job once', () => {
    const q = queue()
    q.put(1)
    const job = take(q)
    assert.throws(() => job.nack({ delay: -1 }), is('InvalidArgument'))
    assert.throws(() => job.ack(5n), is('InvalidArgument'))
    assert.equal(job.settled, false, 'what was wrong with the call changed nothing')
    job.ack()
    assert.equal(job.settled, true)
    const calls = [() => job.ack(), () => job.ack(1), () => job.nack(), () => job.reject(), () => job.extend(1), () => job.progress(1)]
    for (const call of calls) assert.throws(call, is('Closed'), String(call))
    assert.equal(job.value, 1, 'its value stays')
  })

  it('gives a job back at the end of its block unless it was settled', async () => {
    const q = queue()
    q.put(1)
    const job = take(q)
    job[Symbol.dispose ?? Symbol.for('nodejs.dispose')]()
    assert.equal(job.settled, true)
    const again = take(q)
    await again[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
    const last = take(q)
    assert.equal(last.attempt, 3)
    last.ack()
    last[Symbol.dispose ?? Symbol.for('nodejs.dispose')]()
    assert.equal(q.stats().acked, 1)
  })

  it('lends for a time', async () => {
    const q = queue()
    q.put('x')
    const late = q.tryGet({ lease: 20 })
    const held = await q.get({ timeout: 5000, lease: 200 })
    assert.equal(held.attempt, 2)
    assert.throws(() => late.ack(), is('LeaseLost'))
    assert.equal(late.settled, true)
    held.extend(10_000)
    await sleep(250)
    assert.equal(q.tryGet(), null)
    held.ack()
    assert.throws(() => q.tryGet({ lease: -1 }), is('InvalidArgument'))
    await assert.rejects(q.get({ lease: 'long' }), is('InvalidArgument'))
  })

  it('waits for messages', async () => {
    const q = queue()
    setTimeout(() => q.put('x'), 10)
    assert.equal((await q.get()).value, 'x')
    await assert.rejects(q.get({ timeout: 10 }), is('Timeout'))
    await assert.rejects(q.get({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    setTimeout(() => { for (let i = 0; i < 5; i++) q.put(i) }, 10)
    const jobs = []
    while (jobs.length < 5) jobs.push(...await q.getMany(3))
    assert.deepEqual(jobs.map((job) => job.value), [0, 1, 2, 3, 4])
    await assert.rejects(q.getMany(0), is('InvalidArgument'))
    await assert.rejects(q.getMany(3, { timeout: 0 }), is('Timeout'))
  })

  it('pushes back, and waits for room in order', async () => {
    const q = queue({ capacity: 8 })
    let count = 0
    assert.throws(() => { while (true) { q.put(count); count++ } }, is('WouldBlock'))
    assert.equal(count, 8)
    // Who does not wait tries often, and so is not told what takes the room, for which all would have to be counted.
    const given = [[1], [Buffer.from('x')], [Float32Array.of(1)], ['x'.repeat(100_000)], [1, { priority: 1 }], [1, { result: true }]]
    for (const put of given) {
      assert.throws(() => q.put(...put), { kind: 'WouldBlock', message: /^queue 'q': no room, it holds 8 messages .*, or use putAsync, which waits$/ })
    }
    // Who waited is.
    const full = (error) => is('Timeout')(error) && /8 of 8 messages \(8 ready.*capacity/.test(error.message)
    await assert.rejects(q.putAsync('late', { timeout: 10 }), full)
    await assert.rejects(q.putAsync('late', { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    const all = Array.from({ length: 200 }, (_, i) => q.putAsync(count + i, i % 2 ? { attributes: { type: 'odd' } } : undefined))
    assert.throws(() => q.put('overtaking'), is('WouldBlock'))
    for (let i = 0; i < count + 200; i++) {
      const job = await q.get({ timeout: 5000 })
      assert.equal(job.value, i)
      job.ack()
    }
    assert.deepEqual(await Promise.all(all), all.map(() => ({ duplicate: false, ticket: null })))
    assert.throws(() => queue({ capacity: 8, maxBytes: 1024 }).put(Buffer.alloc(5000)), is('TooLarge'))
  })

  it('refuses to wait for a disk it has none of', async () => {
    const q = queue()
    await assert.rejects(q.putAsync('x', { durable: true }), is('InvalidArgument'))
    await assert.rejects(q.putMany(['x'], { durable: true }), is('InvalidArgument'))
    await assert.rejects(q.putMany([], { durable: true }), is('InvalidArgument'))
    q.put('x')
    const job = q.tryGet()
    await assert.rejects(job.ackAsync(undefined, { durable: true }), is('InvalidArgument'))
    assert.equal(job.settled, false)
    job.ack()
    assert.equal(q.stats().put, 1)
  })

  it('puts many, in order, as there is room', async () => {
    const q = queue({ capacity: 8 })
    const values = Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? Buffer.from([i]) : { i }))
    const putting = q.putMany(new Set(values), { priority: 2, attributes: { type: 'x' } })
    assert.throws(() => q.put('overtaking'), is('WouldBlock'))
    for (const value of values) {
      const job = await q.get({ timeout: 5000 })
      assert.deepEqual([job.value, job.priority, job.attributes.type], [value, 2, 'x'])
      job.ack()
    }
    assert.equal(await putting, undefined)
    assert.equal(await q.putMany([]), undefined)
    assert.deepEqual(await q.putMany(new Set(), { result: true }), [])
    await q.putMany([{ plain: true }, Buffer.from('x'), Float32Array.of(1.5)])
    await q.putMany([{ packed: true }], { content: 'msgpack' })
    const plain = (await q.getMany()).map((job) => { job.ack(); return [job.content, job.priority, job.value] })
    const expected = [['json', 0, { plain: true }], ['raw', 0, Buffer.from('x')], ['tensor', 0, plain[2][2]]]
    assert.deepEqual(plain, [...expected, ['msgpack', 0, { packed: true }]])
    assert.deepEqual([...plain[2][2]], [1.5])
    const tickets = await q.putMany([1, 2, 3], { result: true })
    for (const job of await q.getMany(3)) job.ack(job.value * 2)
    assert.deepEqual(await Promise.all(tickets.map((ticket) => ticket.result({ timeout: 5000 }))), [2, 4, 6])
  })

  it('refuses options that are none', async () => {
    const q = queue()
    const refused = (given) => (error) => is('InvalidArgument')(error) && error.message === `options is ${given}; it must be an object`
    assert.throws(() => q.put(1, 5), refused('5 (number)'))
    for (const none of [null, 5]) {
      const told = refused(none === null ? 'null' : '5 (number)')
      for (const call of [() => q.tryGet(none), () => q.worker(none, () => {}), () => q.purge(none)]) assert.throws(call, told)
      const calls = [() => q.putAsync(1, none), () => q.putMany([1], none), () => q.get(none), () => q.getMany(1, none), () => q.sync(none)]
      for (const call of calls) await assert.rejects(call, told)
    }
    assert.equal(q.stats().put, 0)
  })

  it('says how many it put', async () => {
    const q = queue({ capacity: 8, maxBytes: 1024 })
    const partly = (kind, accepted) => (error) => is(kind)(error) && error.accepted === accepted &&
      error.message.endsWith(`; ${accepted} of ${accepted + 1} values were put, the first ones`)
    // What the queue can never hold is told before any is put.
    await assert.rejects(q.putMany([1, Buffer.alloc(5000)]), (error) => is('TooLarge')(error) && error.accepted === 0)
    q.put(1)
    await assert.rejects(q.putMany([2, 3, 4, 5, 6, 7, 8, 9], { timeout: 10 }), partly('Timeout', 7))
    await assert.rejects(q.putMany([9], { timeout: 0 }), partly('Timeout', 0))
    assert.deepEqual(q.peek().map((peeked) => peeked.value), [1, 2, 3, 4, 5, 6, 7, 8])
    const aborting = q.putMany([9, 10], { signal: AbortSignal.timeout(10) })
    // Behind nobody in line.
    await q.putMany([], { timeout: 0 })
    take(q).ack()
    await assert.rejects(aborting, { name: 'TimeoutError' })
    q.purge()
    const strict = queue({ schema: { type: 'number' } })
    for (const wrong of [[1, 'two'], [1, 2n]]) {
      await assert.rejects(strict.putMany(wrong), (error) => is('InvalidArgument')(error) && error.accepted === 0)
    }
    assert.equal(strict.stats().put, 0, 'what is wrong with a value is told before any is put')
    await assert.rejects(q.putMany(5), is('InvalidArgument'))
    await assert.rejects(q.putMany([1], { dedupId: 'a' }), is('InvalidArgument'))
    q.close()
    await assert.rejects(q.putMany([1]), partly('Closed', 0))
    await assert.rejects(q.putMany([]), is('Closed'))
  })

  it('tells producers what became of their messages', async () => {
    const q = queue()
    const { ticket } = q.put('6 x 7', { result: true })
    assert.equal(ticket.progress, 0)
    await assert.rejects(ticket.result({ timeout: 10 }), is('Timeout'))
    const job = take(q)
    job.progress(0.5)
    assert.equal(ticket.progress, 0.5)
    assert.throws(() => job.progress(2), is('InvalidArgument'))
    setTimeout(() => job.ack({ answer: 42 }), 10)
    assert.deepEqual(await ticket.result(), { answer: 42 })
    assert.deepEqual(await ticket.result({ timeout: 0 }), { answer: 42 }, 'asked again, it says the same')
    assert.equal(ticket.progress, 1)
    const [none, rejected, purged, tensor] = ['none', 'rejected', 'purged', 'tensor'].map((v) => q.put(v, { result: true }).ticket)
    take(q).ack()
    take(q).reject('no broom')
    const left = take(q)
    take(q).ack({ data: Float32Array.of(1, 2), shape: [2, 1] })
    assert.equal(await none.result(), undefined)
    for (let i = 0; i < 2; i++) {
      await assert.rejects(rejected.result(), (error) => is('Rejected')(error) && /no broom/.test(error.message))
    }
    left.nack()
    q.purge()
    await assert.rejects(purged.result(), is('NotFound'))
    assert.deepEqual((await tensor.result()).shape, [2, 1])
    assert.equal(q.put('plain').ticket, null)
  })

  it('answers many tickets, also while others wait for room', async () => {
    const q = queue({ capacity: 64 })
    const worker = q.worker({ concurrency: 3 }, async (job) => {
      if (job.value % 7 === 0) await sleep(1)
      return job.value * 2
    })
    const answers = Array.from({ length: 1000 }, async (_, i) => {
      const { ticket } = await q.putAsync(i, { result: true, timeout: 30_000 })
      return ticket.result({ timeout: 30_000 })
    })
    assert.deepEqual(await Promise.all(answers), answers.map((_, i) => i * 2))
    await worker.stop()
    assert.equal(q.stats().done, 0)
  })

  it('gives claims up that are collected', { skip: typeof gc !== 'function' }, async () => {
    const q = queue()
    for (let i = 0; i < 20; i++) q.put(i, { result: true })
    for (let i = 0; i < 20; i++) take(q).ack(i)
    assert.ok(q.stats().done > 0)
    await until(() => { gc(); return q.stats().done === 0 }, 'the results are dropped')
  })

  it('puts once what has an id', async () => {
    const q = queue({ dedup: { count: 10, within: 60_000 } })
    assert.equal(q.put(1, { dedupId: 'a' }).duplicate, false)
    assert.deepEqual(q.put(2, { dedupId: 'a', result: true }), { duplicate: true, ticket: null })
    assert.equal((await q.putAsync(3, { dedupId: 'b' })).duplicate, false)
    assert.deepEqual(q.peek().map((peeked) => peeked.value), [1, 3])
    assert.throws(() => queue({ dedup: { count: 0 } }), is('InvalidArgument'))
  })

  it('is iterated until it is closed', async () => {
    const q = queue()
    for (let i = 0; i < 3; i++) q.put(i)
    const got = []
    for await (const job of q) {
      got.push(job.value)
      job.ack()
      if (got.length === 3) setTimeout(() => q.close(), 10)
    }
    assert.deepEqual(got, [0, 1, 2])
    await assert.rejects((async () => { for await (const job of q) assert.fail(job) })(), is('Closed'))
  })

  it('looks without taking', () => {
    const q = queue()
    q.put({ n: 1 })
    q.put(Buffer.from('x'), { priority: 3 })
    const [first, second] = q.peek()
    assert.deepEqual([first.value.toString(), first.priority, first.reason, first.reasonText], ['x', 3, null, ''])
    assert.deepEqual([second.value, second.content, second.attempts], [{ n: 1 }, 'json', 0])
    assert.equal(q.peek(1).length, 1)
    assert.equal(q.stats().ready, 2)
    assert.equal(q.purge(), 2)
    assert.throws(() => q.peek(-1), is('InvalidArgument'))
    assert.throws(() => q.deadLetters('all'), is('InvalidArgument'))
    assert.throws(() => q.redrive(1.5), is('InvalidArgument'))
  })

  it('holds values to a schema', async () => {
    const ax = domain()
    const strict = queue({ schema: { type: 'object', required: ['id'] } }, ax)
    assert.throws(() => strict.put({}), (error) => is('InvalidArgument')(error) && /nothing was put/.test(error.message))
    await assert.rejects(strict.putAsync(Buffer.from('x')), is('InvalidArgument'))
    queue({}, ax).put({ no: 'id' })
    strict.put({ id: 1 })
    await assert.rejects(strict.get(), is('Decode'))
    assert.equal((await strict.get()).value.id, 1)
    assert.equal(strict.deadLetters()[0].reason, 'rejected')
    assert.throws(() => ax.queue('q', { schema: 'no' }), is('InvalidArgument'))
  })

  it('refuses impossible options when it is opened', () => {
    assert.throws(() => queue({ capacity: 0 }), is('InvalidArgument'))
    assert.throws(() => queue({ fsync: 'sometimes' }), is('InvalidArgument'))
    assert.throws(() => queue({ fsyncInterval: -1 }), is('InvalidArgument'))
    assert.throws(() => queue({ maxAttempts: 1.5 }), is('InvalidArgument'))
    assert.throws(() => domain().queue('no such/name'), is('InvalidName'))
  })

  it('says what was given, for what, and what it takes', async () => {
    const ax = domain()
    const q = queue({}, ax)
    q.put(1)
    const job = take(q)
    const count = 'a whole number from 0 to 9007199254740991'
    const time = 'milliseconds, a number that is not negative'
    const wrong = [
      [() => queue({ capacity: '5' }), `capacity is '5' (string); it must be ${count}`],
      [() => queue({ maxBytes: 1e20 }), `maxBytes is 100000000000000000000 (number); it must be ${count}`],
      [() => queue({ dedup: { within: null } }), `dedup.within is null; it must be ${time}`],
      [() => queue({ dedup: 5 }), 'dedup is 5 (number); it must be an object'],
      [() => queue({ durable: 'yes' }), "durable is 'yes' (string); it must be true or false"],
      [() => queue({ fsync: true }), 'fsync is true (boolean); it must be a string'],
      [() => queue({ fsync: 'often' }), "fsync is 'often'; it must be one of always, interval, never"],
      [() => ax.queue(5), 'the name of a queue is 5 (number); it must be a string'],
      [() => ax.semaphore('s', '3'), `permits is '3' (string); it must be ${count}`],
      [() => open('d', { runtimeDir: 5 }), 'runtimeDir is 5 (number); it must be a string'],
      [() => q.put(1, { priority: 1.5 }), `priority is 1.5 (number); it must be ${count}`],
      [() => q.put(1, { ttl: 'soon' }), `ttl is 'soon' (string); it must be ${time}`],
      [() => q.put(1, { dedupId: 5 }), 'dedupId is 5 (number); it must be a string'],
      [() => q.put(1, { delay: Infinity }), `delay is inf; it must be ${time} and fits a clock`],
      [() => q.putAsync(1, { durable: 1 }), 'durable is 1 (number); it must be true or false'],
      [() => q.putMany([1], { result: 'yes' }), "result is 'yes' (string); it must be true or false"],
      [() => q.get({ timeout: '1' }), `timeout is '1' (string); it must be ${time}`],
      [() => q.get({ lease: NaN }), `lease is NaN (number); it must be ${time}`],
      [() => q.getMany(0), 'max is 0 (number); it must be a whole number from 1 to 9007199254740991'],
      [() => q.peek([1, 2]), `max is [ 1, 2 ] (object); it must be ${count}`],
      [() => q.purge({ dead: 1 }), 'dead is 1 (number); it must be true or false'],
      [() => job.nack({ delay: '5' }), `delay is '5' (string); it must be ${time}`],
      [() => job.reject(5), 'reason is 5 (number); it must be a string'],
      [() => job.extend(5n), `lease is 5n (bigint); it must be ${time}`],
      [() => job.progress('half'), "done is 'half' (string); it must be a number"]
    ]
    for (const [call, message] of wrong) {
      await assert.rejects(async () => call(), (error) => is('InvalidArgument')(error) && assert.equal(error.message, message) === undefined)
    }
    assert.equal(q.stats().put, 1)
    assert.equal(job.settled, false)
    const { ticket } = q.put(1, { result: true })
    await assert.rejects(ticket.result({ timeout: 12.3456789 }), /^AxonicError: queue 'q': no result in 12 ms; /)
    await assert.rejects(ticket.result({ timeout: 0.123456 }), /no result in 0\.1 ms/)
  })

  it('says what cannot be decoded', () => {
    const q = queue()
    q.put(Buffer.from('{'), { content: 'json' })
    const job = take(q)
    assert.throws(() => job.value, (error) => is('Decode')(error) && /^job of queue 'q': its json/.test(error.message))
    job.reject('not JSON')
  })

  it('shows itself', () => {
    const q = queue()
    const { ticket } = q.put(1, { result: true })
    const job = take(q)
    assert.match(inspect(q), /^Queue \{\s+name: 'q',\s+ready: 0,\s+delayed: 0,\s+leased: 1,/)
    assert.match(inspect(job), /^Job \{\s+queue: 'q',\s+content: 'json',\s+data: <Buffer 31>,\s+priority: 0,\s+attempt: 1,\s+settled: false/)
    assert.equal(inspect(ticket), 'Ticket { progress: 0 }')
    q.close()
    assert.equal(inspect(q), "Queue { name: 'q', closed: true }")
    assert.equal(inspect(ticket), 'Ticket { closed: true }')
  })
})

describe('a queue that is closed', () => {
  it('gives its jobs back, and its tickets up', async () => {
    const ax = domain()
    const [here, there] = [queue({}, ax), queue({}, ax)]
    const { ticket } = here.put('x', { result: true })
    const job = take(here)
    const waits = [here.get(), ticket.result()]
    here.close()
    for (const wait of waits) await assert.rejects(wait, is('Closed'))
    await assert.rejects(ticket.result(), is('Closed'))
    assert.throws(() => ticket.progress, is('Closed'))
    assert.throws(() => job.ack(), is('Closed'))
    const again = await there.get({ timeout: 5000 })
    assert.equal(again.attempt, 2)
    again.ack('nobody waits')
    assert.equal(there.stats().done, 0)
  })

  it('is gone for another process too', async () => {
    const name = `queue-${process.pid}`
    const q = queue({}, domain(name))
    q.put('work')
    const holder = child('jobs', name)
    await holder.said('got work')
    assert.equal(q.tryGet(), null)
    holder.process.kill('SIGKILL')
    const job = await q.get({ timeout: 10_000 })
    assert.equal(job.attempt, 2)
    job.ack()
    await holder.ended
  })
})

describe('a worker of a queue', { timeout: 60_000 }, () => {
  it('works on several jobs at a time, and stops when they are done', async () => {
    const q = queue()
    let now = 0
    let most = 0
    const done = []
    const worker = q.worker({ concurrency: 4 }, async (job) => {
      most = Math.max(most, ++now)
      await sleep(5)
      now--
      done.push(job.value)
    })
    for (let i = 0; i < 20; i++) q.put(i)
    await until(() => done.length >= 10)
    await worker.stop()
    assert.equal(now, 0)
    assert.equal(most, 4)
    assert.equal(q.stats().acked, done.length)
    await worker.stop()
    q.put('nobody works')
    await sleep(20)
    assert.ok(q.stats().ready > 0)
  })

  it('gives back what fails and rejects what is rejected', async () => {
    const told = []
    setLogger((level, message) => { if (level === 'warn') told.push(message) })
    const q = queue({ maxAttempts: 3 })
    const worker = q.worker((job) => {
      if (job.value === 'bad') throw new Reject('too bad')
      if (job.value === 'unlucky' && job.attempt < 3) throw new RangeError('not yet')
      return `${job.value} done`
    })
    const [bad, unlucky] = ['bad', 'unlucky'].map((value) => q.put(value, { result: true }).ticket)
    await assert.rejects(bad.result({ timeout: 5000 }), (error) => is('Rejected')(error) && /too bad/.test(error.message))
    assert.equal(await unlucky.result({ timeout: 5000 }), 'unlucky done')
    await worker.stop()
    setLogger(null)
    assert.equal(told.length, 2)
    assert.match(told[0], /^queue 'q': attempt 1 at a job failed: RangeError: not yet/)
  })

  it('waits longer before each attempt, and says why the last one failed', async () => {
    const ax = domain()
    // What whoever made the queue decided counts.
    queue({ maxAttempts: 3 }, ax)
    const q = queue({}, ax)
    const begun = []
    const worker = q.worker(() => { begun.push(performance.now()); throw new RangeError('never') })
    const { ticket } = q.put('unlucky', { result: true })
    await assert.rejects(ticket.result({ timeout: 5000 }), (error) => is('Rejected')(error) && /RangeError: never/.test(error.message))
    await worker.stop()
    assert.equal(begun.length, 3)
    assert.ok(begun[1] - begun[0] > 90 && begun[2] - begun[1] > 190, `${begun}`)
    assert.deepEqual(q.deadLetters().map((dead) => dead.reasonText), ['RangeError: never'])
  })

  it('ends with its queue, and refuses what it cannot do', async () => {
    const q = queue()
    const worker = q.worker(() => {})
    await sleep(5)
    q.close()
    await worker.stop()
    const other = queue()
    assert.throws(() => other.worker({}), is('InvalidArgument'))
    assert.throws(() => other.worker({ concurrency: 0 }, () => {}), is('InvalidArgument'))
    assert.throws(() => other.worker({ lease: -1 }, () => {}), is('InvalidArgument'))
  })

  it('leaves alone what its function settled', async () => {
    const q = queue()
    const { ticket } = q.put(1, { result: true })
    const worker = q.worker((job) => { job.ack('early'); return 'late' })
    assert.equal(await ticket.result({ timeout: 5000 }), 'early')
    await worker.stop()
  })
})

describe('a durable queue', { timeout: 60_000 }, () => {
  it('is there again when nobody had it open', async () => {
    for (const fsync of ['always', 'interval', 'never']) {
      const dataDir = `${disk}/${fsync}`
      const name = `durable-${fsync}-${process.pid}`
      const ax = domain(name, { dataDir })
      const q = ax.queue('q', { durable: true, fsync })
      for (let i = 0; i < 10; i++) q.put({ i }, { priority: i % 2 })
      await q.putAsync('last')
      const job = await q.get()
      assert.deepEqual(job.value, { i: 1 })
      await job.ackAsync()
      await q.sync({ timeout: 30_000 })
      ax.close()
      rmSync(ax.path, { recursive: true, force: true })
      const again = domain(name, { dataDir })
      assert.equal(again.path, ax.path)
      const peeked = queue({ durable: true, fsync }, again).peek().map((peeked) => peeked.value)
      assert.deepEqual(peeked, [3, 5, 7, 9, 0, 2, 4, 6, 8].map((i) => ({ i })).concat('last'), fsync)
    }
  })

  it('waits for the disk beside the event loop', async () => {
    const q = durable()
    let turns = 0
    const turning = setInterval(() => turns++, 0)
    const receipts = await Promise.all(Array.from({ length: 500 }, (_, i) => q.putAsync(i, { result: i === 7 })))
    assert.equal(receipts.filter((receipt) => receipt.ticket !== null).length, 1)
    await Promise.all((await q.getMany(500)).map((job) => job.ackAsync(job.value)))
    assert.equal(await receipts[7].ticket.result(), 7)
    clearInterval(turning)
    assert.equal(q.stats().ready, 0)
    await q.putMany(Array.from({ length: 300 }, (_, i) => i), { timeout: 30_000 })
    assert.equal(q.purge(), 300)
    await q.putAsync('accepted', { durable: false })
    await assert.rejects(q.putAsync('aborted', { signal: AbortSignal.abort(new RangeError('enough')) }), RangeError)
    assert.equal(take(q).value, 'accepted')
  })

  it('has no file work for the event loop', async () => {
    for (const fsync of ['always', 'interval', 'never']) {
      const q = durable({ fsync, fsyncInterval: 5 })
      const before = givenByThisThread()
      for (let i = 0; i < 100; i++) q.put(Buffer.alloc(5000), { result: i % 2 === 0 })
      for (let i = 0; i < 40; i++) {
        take(q).ack()
        take(q).reject()
        // What is overdue is none of the loop's, either.
        await sleep(1)
      }
      assert.equal(q.purge() + q.purge({ dead: true }), 60, fsync)
      assert.equal(q.tryGet(), null)
      assert.ok(givenByThisThread() - before < 5000, fsync)
    }
  })

  it('has what is put or settled while its caller stops waiting for the disk', async () => {
    const q = durable()
    const timedOut = q.putAsync('late', { timeout: 0 })
    const aborting = new AbortController()
    const aborted = q.putAsync('aborted', { signal: aborting.signal })
    aborting.abort(new RangeError('enough'))
    await Promise.all([
      assert.rejects(timedOut, (error) => is('NotDurable')(error) && error.accepted === 1 && /accepted/.test(error.message)),
      assert.rejects(aborted, RangeError)
    ])
    await assert.rejects(q.putMany(['third', 'fourth'], { timeout: 0 }), (error) => {
      return is('NotDurable')(error) && error.accepted === 2 && /all 2 messages are accepted/.test(error.message)
    })
    await q.putMany(['fifth'], { timeout: 0, durable: false })
    const [late, second, ...others] = await q.getMany(5)
    assert.deepEqual(others.map((job) => job.value), ['third', 'fourth', 'fifth'])
    for (const job of others) job.ack()
    assert.deepEqual([late.value, second.value], ['late', 'aborted'])
    await assert.rejects(late.ackAsync(undefined, { timeout: 0 }), is('Timeout'))
    assert.ok(late.settled)
    await second.ackAsync()
    assert.equal(q.stats().ready + q.stats().leased, 0)
  })

  /** Whatever is in the files below a directory. */
  const written = (directory) => {
    if (!existsSync(directory)) return ''
    const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    return files.map((entry) => readFileSync(`${entry.parentPath ?? entry.path}/${entry.name}`, 'latin1')).join('')
  }

  it('is written though nobody waits for it', async () => {
    for (const fsync of ['always', 'interval', 'never']) {
      const dataDir = `${disk}/by-itself-${fsync}`
      const name = `itself-${fsync}-${process.pid}`
      const writer = child('durable', name, dataDir, fsync)
      await until(() => written(dataDir).includes('second'))
      writer.process.kill('SIGKILL')
      await writer.ended
      const looking = open(name, { dataDir })
      looking.close()
      rmSync(looking.path, { recursive: true, force: true })
      const again = queue({ durable: true, fsync }, domain(name, { dataDir }))
      assert.deepEqual(again.peek().map((peeked) => peeked.value), ['first', 'second'], fsync)
    }
  })

  it('answers AXONIC_CLOSED to whoever syncs after its end', async () => {
    const q = durable()
    q.put(1)
    const syncing = q.sync()
    q.close()
    await syncing.catch(is('Closed'))
    await assert.rejects(q.sync(), is('Closed'))
    await assert.rejects(queue().sync({ timeout: -1 }), is('InvalidArgument'))
    await queue().sync({ timeout: 0 })
  })
})
