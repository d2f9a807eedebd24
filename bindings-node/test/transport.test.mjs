// Channels over every transport there is, and calls over those that services listen at.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, fstatSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { child, domain, is, sleep, until } from './helper.mjs'

const place = mkdtempSync(`${tmpdir()}/axonic-transport-`)
process.on('exit', () => rmSync(place, { recursive: true, force: true }))
let count = 0

/** Where to listen by each transport; every time somewhere else. */
const ADDRESSES = {
  shm: (ax) => `shm://${ax.name}/c${count++}`,
  inproc: () => `inproc://c${count++}`,
  unix: () => `unix://${place}/s${count++}`,
  abstract: () => `unix://@axonic-${process.pid}-${count++}`,
  seqpacket: () => `unix://${place}/s${count++}?type=seqpacket`,
  datagram: () => `unix://${place}/s${count++}?type=datagram`,
  checked: () => `unix://${place}/s${count++}?checksum=crc32c`,
  tcp: () => 'tcp://127.0.0.1:0',
  udp: () => 'udp://127.0.0.1:0',
  ws: () => 'ws://127.0.0.1:0/talk',
  fifo: () => `fifo://${place}/f${count++}`
}

/** Two ends of a channel, once both have heard of each other. */
async function pair (transport, options) {
  const ax = domain()
  const listener = ax.listen(ADDRESSES[transport](ax), options)
  const near = await connect(ax, listener, options)
  // Over datagrams whoever connected is there when something has come of it.
  const accepting = listener.accept({ timeout: 10_000 })
  near.send(Buffer.from('here'))
  const far = await accepting
  assert.equal(text(await far.receive({ timeout: 10_000 })), 'here')
  return { ax, listener, near, far }
}

/** Connects, while the listener lets in whoever waits for that. */
async function connect (ax, listener, options) {
  const connecting = ax.connect(listener.address, { timeout: 10_000, ...options })
  const isWaiting = ['shm:', 'fifo', 'ws:/'].includes(listener.address.slice(0, 4))
  if (!isWaiting) return connecting
  const accepted = await listener.accept({ timeout: 10_000 })
  const near = await connecting
  // The same for all: who has been accepted already is accepted again.
  listener.accept = async () => accepted
  return near
}

const text = ({ data }) => data.toString()

/** Descriptors of this process, by what they are. */
const descriptors = () => readdirSync('/proc/self/fd').length

for (const transport of Object.keys(ADDRESSES)) {
  describe(`channel over ${transport}`, { timeout: 60_000 }, () => {
    it('carries messages both ways', async () => {
      const { near, far } = await pair(transport)
      const messages = Array.from({ length: 50 }, (_, i) => Buffer.alloc(1 + i * 7, i))
      for (const message of messages) {
        await near.sendAsync(message, { timeout: 5000 })
        assert.deepEqual((await far.receive({ timeout: 5000 })).data, message)
        far.send(message)
        assert.deepEqual((await near.receive({ timeout: 5000 })).data, message)
      }
      assert.equal(far.tryReceive(), null)
      assert.equal(far.stats().receivedMessages, 51)
      assert.equal(far.stats().sentMessages, 50)
      await near.flush({ timeout: 5000 })
      near.close()
      far.close()
    })

    it('carries many and large messages', async () => {
      const { near, far } = await pair(transport)
      const largest = Math.min(near.maxMessage, near.can.messages && near.maxMessage < 1e6 ? 8000 : 3_000_000)
      const large = Buffer.alloc(largest, 7)
      const reading = (async () => {
        const lengths = []
        while (lengths.length < 101) lengths.push((await far.receive({ timeout: 10_000 })).data.length)
        return lengths
      })()
      // What may be lost is sent at the pace it is taken.
      const some = Array.from({ length: 100 }, (_, i) => Buffer.alloc(20 + i))
      if (near.can.backPressure) await near.sendMany(some, { timeout: 10_000 })
      else for (const message of some) { near.send(message); await sleep(1) }
      await near.sendAsync(large, { timeout: 10_000 })
      assert.deepEqual(await reading, [...some.map((message) => message.length), largest])
      assert.throws(() => near.send(Buffer.alloc(17 << 20)), is('TooLarge'))
    })

    it('sends all of what it says that it has sent of many', async () => {
      const { near, far } = await pair(transport)
      if (!near.can.backPressure) return
      const views = [new Float64Array([1]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(2), Buffer.from('b')]
      assert.equal(await near.sendMany(views, { timeout: 5000 }), 4)
      for (const length of [8, 3, 2, 1]) assert.equal((await far.receive({ timeout: 5000 })).data.length, length)
      const size = Math.min(near.maxMessage, 60_000)
      const sent = await near.sendMany(Array.from({ length: 2000 }, () => Buffer.alloc(size)), { timeout: 30 })
      assert.ok(sent < 2000, 'there is no room for so much')
      for (let i = 0; i < sent; i++) assert.equal((await far.receive({ timeout: 5000 })).data.length, size)
      await assert.rejects(far.receive({ timeout: 20 }), is('Timeout'))
    })

    it('is iterated to its end, or left', async () => {
      const { near, far } = await pair(transport)
      for (const word of ['a', 'b', 'c']) near.send(Buffer.from(word))
      const got = []
      for await (const message of far) {
        got.push(text(message))
        if (got.length === 2) break
      }
      assert.deepEqual(got, ['a', 'b'])
      assert.equal(far.closed, false, 'to leave a loop closes nothing')
      assert.equal(text(await far.receive({ timeout: 5000 })), 'c')
      if (!far.can.end) return
      if (near.can.halfClose) {
        await near.finish({ timeout: 5000 })
        for await (const message of far) assert.fail(text(message))
        far.send(Buffer.from('back'))
        assert.equal(text(await near.receive({ timeout: 5000 })), 'back')
      }
      far.close()
      for await (const message of near) assert.fail(text(message))
      await assert.rejects(near.receive(), is('Disconnected'))
    })

    it('stops waiting when told to', async () => {
      const { ax, near, far, listener } = await pair(transport)
      const reason = new Error('enough')
      const aborted = (run) => {
        const controller = new AbortController()
        setTimeout(() => controller.abort(reason), 5)
        return assert.rejects(run({ signal: controller.signal }), (error) => error === reason)
      }
      const before = { signal: AbortSignal.abort(reason) }
      const accept = (options) => Object.getPrototypeOf(listener).accept.call(listener, options)
      const full = Buffer.alloc(4000)
      await aborted((options) => far.receive(options))
      await aborted(accept)
      if (near.can.backPressure) {
        assert.throws(() => { for (;;) near.send(full) }, is('WouldBlock'))
        await aborted((options) => near.sendAsync(full, options))
        await aborted((options) => near.sendMany([full, full], options))
      }
      const calls = [
        (options) => far.receive(options), accept, (options) => near.sendAsync(full, options), (options) => near.flush(options),
        (options) => near.finish(options), (options) => near.sendMany([full], options), (options) => ax.connect(listener.address, options)
      ]
      for (const call of calls) await assert.rejects(call(before), (error) => error === reason, call.toString())
      const { user, system } = process.cpuUsage()
      await sleep(100)
      const used = process.cpuUsage({ user, system })
      assert.ok(used.user + used.system < 80_000, `it spins: ${JSON.stringify(used)}`)
    })

    it('gives everything back when it is dropped', { skip: typeof gc !== 'function' }, async () => {
      const ax = domain()
      const opened = descriptors()
      await (async () => {
        const listener = ax.listen(ADDRESSES[transport](ax))
        for (let i = 0; i < 5; i++) {
          const near = await connect(ax, listener)
          near.send(Buffer.from('x'))
          const far = await listener.accept({ timeout: 5000 })
          assert.equal(text(await far.receive({ timeout: 5000 })), 'x')
          near.tryReceive()
          delete listener.accept
        }
      })()
      await until(() => { gc(); return descriptors() <= opened + 1 }, `${transport} gives its descriptors back`)
    })
  })
}

describe('channel', { timeout: 60_000 }, () => {
  it('passes descriptors where the transport can', async () => {
    const file = `${place}/passed`
    writeFileSync(file, 'content')
    for (const transport of ['unix', 'seqpacket', 'datagram', 'inproc']) {
      const { near, far } = await pair(transport)
      assert.ok(near.can.descriptors)
      const fd = openSync(file)
      near.send(Buffer.from('see'), { descriptors: [fd] })
      const { data, descriptors: [passed] } = await far.receive({ timeout: 5000 })
      assert.equal(data.toString(), 'see')
      assert.notEqual(passed, fd)
      assert.equal(fstatSync(passed).ino, fstatSync(fd).ino)
      for (const one of [fd, passed]) closeSync(one)
    }
  })

  it('is a pair of pipes with a child', async () => {
    const ax = domain()
    for (const name of ['there', 'back']) execFileSync('mkfifo', [`${place}/${name}`])
    // The end that is read from is opened first: opening the other waits for it.
    const ends = ['there', 'back'].map((name) => {
      const read = openSync(`${place}/${name}`, constants.O_RDONLY | constants.O_NONBLOCK)
      return { read, write: openSync(`${place}/${name}`, constants.O_WRONLY) }
    })
    const [there, back] = ends
    const program = fileURLToPath(new URL('children/pipe.mjs', import.meta.url))
    const other = spawn(process.execPath, [program, ax.name], { stdio: [there.read, back.write, 'inherit'] })
    const ended = new Promise((resolve) => other.on('exit', resolve))
    const channel = await ax.connect(`pipe:${back.read},${there.write}`)
    // Its own are the channel's from now on.
    for (const fd of [there.read, back.write]) closeSync(fd)
    channel.send(Buffer.from('ping'))
    assert.equal(text(await channel.receive({ timeout: 10_000 })), 'gnip')
    const large = Buffer.alloc(1_000_000, 'ab')
    await channel.sendAsync(large, { timeout: 10_000 })
    assert.deepEqual((await channel.receive({ timeout: 10_000 })).data, Buffer.from(large).reverse())
    await channel.finish({ timeout: 10_000 })
    await assert.rejects(channel.receive({ timeout: 10_000 }), is('Disconnected'))
    assert.equal(await ended, 0)
  })

  it('is made with what a child is to inherit', async () => {
    const ax = domain()
    assert.throws(() => ax.pipe({ maxMessage: 2 ** 31 }), is('InvalidArgument'))
    const [channel, child] = ax.pipe({ maxMessage: 1 << 20 })
    const [read, write] = child.descriptors
    assert.equal(channel.address, `pipe:${read},${write}`)
    assert.deepEqual([child.address, child.closed], ['pipe:3,4', false])
    const program = fileURLToPath(new URL('children/pipe.mjs', import.meta.url))
    const stdio = ['ignore', 'inherit', 'inherit', ...child.descriptors]
    const other = spawn(process.execPath, [program, ax.name, child.address], { stdio })
    const ended = new Promise((resolve) => other.on('exit', resolve))
    for (let times = 0; times < 2; times++) child.close()
    assert.ok(child.closed)
    assert.throws(() => child.descriptors, is('Closed'))
    for (const fd of [read, write]) assert.throws(() => fstatSync(fd), { code: 'EBADF' })
    channel.send(Buffer.from('ping'))
    assert.equal(text(await channel.receive({ timeout: 10_000 })), 'gnip')
    await channel.finish({ timeout: 10_000 })
    await assert.rejects(channel.receive({ timeout: 10_000 }), is('Disconnected'))
    assert.equal(await ended, 0)
  })

  it('tells the limit of its transport', async () => {
    const limits = { unix: null, shm: null, tcp: null, udp: 65_507 }
    for (const [transport, limit] of Object.entries(limits)) {
      const { near } = await pair(transport, { maxMessage: 5000 })
      assert.deepEqual([near.can.maxMessage, near.maxMessage], [limit, 5000], transport)
    }
  })

  it('is raw bytes where it is to be', async () => {
    const ax = domain()
    const listener = ax.listen(`unix://${place}/raw?framing=none`)
    const near = await ax.connect(`${listener.address}`)
    const far = await listener.accept({ timeout: 5000 })
    assert.equal(near.can.messages, false)
    near.send(Buffer.from('one'))
    near.send(Buffer.from('two'))
    await near.finish()
    let all = ''
    for await (const message of far) all += text(message)
    assert.equal(all, 'onetwo')
  })

  it('is served by a worker', async () => {
    const { code, stdout, stderr } = await child('talking', domain().name).ended
    assert.equal(stderr, '')
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), { channel: 'olleh', call: 42, streamed: [0, 1, 2], ends: [0, 0, 1] })
  })

  it('keeps a process alive while somebody waits, and no longer', async () => {
    for (const way of ['channel', 'listener', 'client']) {
      const { code, stdout, stderr } = await child('holding', domain().name, way, `${place}/h-${way}`).ended
      assert.deepEqual([code, stdout, stderr], [0, 'waiting\ndone\n', ''], way)
    }
    for (const way of ['accept', 'receive', 'call', 'service']) {
      const { name } = domain()
      const other = child('holding', name, way, `${place}/h-${way}`)
      await other.said('waiting')
      await sleep(300)
      assert.equal(other.process.exitCode, null, `${way} keeps it`)
      other.process.kill('SIGKILL')
      await other.ended
      // Whoever opens something next removes what it has left.
      domain(name).publisher('t')
    }
  })
})

describe('calls', { timeout: 60_000 }, () => {
  for (const transport of ['shm', 'inproc', 'unix', 'seqpacket', 'tcp', 'ws', 'fifo']) {
    it(`go over ${transport}`, async () => {
      const ax = domain()
      const cancelled = []
      const service = ax.service('shop', '1.2.0', {
        double: ({ n }) => 2 * n,
        echo: (data) => data,
        async * count ({ to }) { for (let i = 0; i < to; i++) yield i },
        async sum (params, { input }) { let sum = 0; for await (const n of input) sum += n; return sum },
        hang: (params, { signal }) => new Promise((resolve) => signal.addEventListener('abort', () => { cancelled.push(1); resolve() }))
      })
      const address = service.listen(ADDRESSES[transport](ax))
      const client = ax.client('shop', '^1', { address })
      assert.equal(await client.double({ n: 21 }, { timeout: 10_000 }), 42)
      const large = Buffer.alloc(200_000, 'x')
      // A seqpacket carries what its socket's buffer takes at once.
      if (transport !== 'seqpacket') assert.deepEqual(await client.echo(large, { timeout: 10_000 }), large)
      const all = await Promise.all(Array.from({ length: 200 }, (_, n) => client.double({ n }, { timeout: 10_000 })))
      assert.deepEqual(all, Array.from({ length: 200 }, (_, n) => 2 * n))
      const items = []
      for await (const item of client.count.stream({ to: 100 })) items.push(item)
      assert.deepEqual(items, Array.from({ length: 100 }, (_, i) => i))
      for await (const item of client.count.stream({ to: 1e9 })) if (item === 3) break
      assert.equal(await client.sum({}, { input: [1, 2, 3] }), 6)
      const controller = new AbortController()
      const hanging = assert.rejects(client.hang({}, { signal: controller.signal }), { name: 'AbortError' })
      await until(() => service.atWork === 1)
      controller.abort()
      await hanging
      await until(() => cancelled.length === 1, 'its handler hears of it')
      await until(() => service.atWork === 0)
      assert.equal(client.underWay, 0)
      service.close()
      await assert.rejects(client.double({ n: 1 }, { timeout: 5000 }), is('Unavailable'))
    })
  }

  it('give everything back when client and service are closed', async () => {
    const ax = domain()
    const opened = descriptors()
    await (async () => {
      const service = ax.service('shop', '1.2.0', { double: ({ n }) => 2 * n })
      for (const address of [undefined, service.listen(`unix://${place}/closing`)]) {
        const client = ax.client('shop', '^1', address && { address })
        assert.equal(await client.double({ n: 2 }), 4)
        client.close()
      }
      service.close()
    })()
    await until(() => descriptors() <= opened + 1, 'descriptors are given back')
  })
})
