import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { WaitSet, child, domain, is, leftovers, open, until } from './helper.mjs'

/** One of everything in a domain. */
function everything (ax = domain()) {
  const sub = ax.subscriber('t')
  const pub = ax.publisher('t')
  const region = ax.region('region', { size: 10 })
  const producer = ax.ringProducer('ring')
  const consumer = ax.ringConsumer('ring')
  const queue = ax.queue('queue')
  const mutex = ax.mutex('mutex')
  return { ax, sub, pub, region, producer, consumer, queue, mutex }
}

const bytes = Buffer.alloc(1)

/** Every call of every handle; `now` throw, `later` reject. */
function calls ({ ax, sub, pub, region, producer, consumer, queue, mutex }) {
  return {
    ax: {
      now: [
        () => ax.publisher('t'), () => ax.subscriber('t'), () => ax.region('region'), () => ax.ringProducer('ring'),
        () => ax.ringConsumer('ring'), () => ax.queue('queue'), () => ax.mutex('mutex'), () => ax.rwlock('rwlock'),
        () => ax.semaphore('semaphore', 1), () => ax.event('event'), () => ax.barrier('barrier', 2), () => ax.unlink('region', 'region')
      ],
      later: []
    },
    sub: {
      now: [
        () => sub.tryReceive(), () => sub.tryReceiveMany(), () => sub.tryReceiveInto(bytes), () => sub.tryBorrow(() => 1),
        () => sub.fd
      ],
      later: [
        () => sub.receive(), () => sub.receiveMany(), () => sub.receiveInto(bytes), () => sub.borrow(() => 1),
        async () => { for await (const message of sub) assert.fail(message) }
      ]
    },
    pub: {
      now: [
        () => pub.publish(1), () => pub.publish(bytes), () => pub.publish(Float32Array.of(1)), () => pub.publishMany([1]),
        () => pub.publishMany([Float32Array.of(1)]), () => pub.loan(10, () => {}), () => pub.fd
      ],
      later: [
        () => pub.publishAsync(1), () => pub.publishManyAsync([1]), () => pub.loanAsync(10, () => {}),
        () => pub.waitForSubscribers(1)
      ]
    },
    region: {
      now: [() => region.buffer, () => region.read(), () => region.write(0, bytes), () => region.fd],
      later: []
    },
    producer: {
      now: [() => producer.push(bytes), () => producer.reserve(1, () => {}), () => producer.fd],
      later: [() => producer.pushAsync(bytes)]
    },
    consumer: {
      now: [() => consumer.tryPop(), () => consumer.tryPopInto(bytes), () => consumer.tryBorrow(() => 1), () => consumer.fd],
      later: [
        () => consumer.pop(), () => consumer.popInto(bytes), () => consumer.borrow(() => 1),
        async () => { for await (const message of consumer) assert.fail(message) }
      ]
    },
    queue: {
      now: [
        () => queue.put(1), () => queue.put(bytes), () => queue.put(1, { result: true }), () => queue.tryGet(), () => queue.peek(),
        () => queue.deadLetters(), () => queue.purge(), () => queue.redrive(), () => queue.stats(), () => queue.fd
      ],
      later: [
        () => queue.putAsync(1), () => queue.get(), () => queue.getMany(), () => queue.sync(),
        async () => { for await (const job of queue) assert.fail(job) }
      ]
    },
    mutex: { now: [() => mutex.tryAcquire()], later: [() => mutex.acquire(), () => mutex.acquire({ timeout: 5 })] }
  }
}

async function allClosed ({ now, later }) {
  for (const call of now) assert.throws(call, is('Closed'), call.toString())
  for (const call of later) await assert.rejects(call(), is('Closed'), call.toString())
}

describe('lifecycle', { timeout: 120_000 }, () => {
  it('answers AXONIC_CLOSED to every use after close, and closes twice', async () => {
    const handles = everything()
    const uses = calls(handles)
    handles.ax.unlink('region', 'region')
    for (const name of ['sub', 'pub', 'region', 'producer', 'consumer', 'queue', 'mutex', 'ax']) {
      assert.equal(handles[name].closed, false)
      handles[name].close()
      handles[name].close()
      assert.equal(handles[name].closed, true)
      await allClosed(uses[name])
    }
  })

  it('closes handles with their domain', async () => {
    const handles = everything()
    const uses = calls(handles)
    handles.ax.unlink('region', 'region')
    handles.ax.close()
    for (const name of ['sub', 'pub', 'producer', 'consumer', 'queue', 'mutex']) await allClosed(uses[name])
    for (const name of ['sub', 'pub', 'region', 'producer', 'consumer', 'queue', 'mutex', 'ax']) handles[name].close()
  })

  it('closes in any order', () => {
    const names = ['ax', 'sub', 'pub', 'region', 'producer', 'consumer', 'queue', 'mutex']
    for (let turn = 0; turn < names.length; turn++) {
      const handles = everything()
      handles.ax.unlink('region', 'region')
      for (let i = 0; i < names.length; i++) handles[names[(turn + i * 5) % names.length]].close()
    }
  })

  it('ends with its block', async () => {
    const handles = everything()
    handles.ax.unlink('region', 'region')
    for (const name of ['sub', 'pub', 'region', 'queue']) {
      handles[name][Symbol.dispose]()
      assert.equal(handles[name].closed, true)
    }
    for (const name of ['producer', 'consumer', 'ax']) {
      assert.ok(handles[name][Symbol.asyncDispose]() instanceof Promise)
      assert.equal(handles[name].closed, true)
    }
    const set = new WaitSet()
    set[Symbol.dispose]()
    assert.equal(set.closed, true)
  })

  it('rejects waits when the handle or the domain is closed', async () => {
    for (const close of [(h) => { h.sub.close(); h.consumer.close(); h.queue.close() }, (h) => h.ax.close()]) {
      const handles = everything()
      handles.ax.unlink('region', 'region')
      const waits = [handles.sub.receive(), handles.sub.receive(), handles.consumer.pop(), handles.sub.borrow(() => 1), handles.queue.get()]
      const settled = Promise.allSettled(waits)
      close(handles)
      for (const { status, reason } of await settled) {
        assert.equal(status, 'rejected')
        is('Closed')(reason)
      }
    }
  })

  it('survives closing inside callbacks', async () => {
    const { ax, pub, sub } = everything()
    ax.unlink('region', 'region')
    pub.publish(Buffer.alloc(5000, 4))
    assert.equal(sub.tryBorrow((m) => { sub.close(); return m.array[4999] }), 4)
    assert.throws(() => pub.loan(5000, (array) => { pub.close(); array.fill(1) }), is('Closed'))
    const again = ax.publisher('t')
    await assert.rejects(again.loanAsync(5000, (array) => { again.close(); array.fill(1) }), is('Closed'))
    const last = ax.publisher('t')
    assert.throws(() => last.loan(5000, (array) => { ax.close(); array.fill(1) }), is('Closed'))
  })

  it('collects what nobody holds any more', async () => {
    const ax = domain()
    const pub = ax.publisher('dropped')
    for (let i = 0; i < 3; i++) {
      await ax.subscriber('dropped').receive({ timeout: 1 }).catch(is('Timeout'))
    }
    assert.ok(pub.subscribers > 0)
    assert.ok(globalThis.gc, 'the suite runs with --expose-gc')
    await until(() => { globalThis.gc(); return pub.subscribers === 0 }, 'subscribers are collected')
  })

  it('does not collect what somebody waits on', async () => {
    const ax = domain()
    const waiting = ax.subscriber('waiting').receive({ timeout: 5000 })
    for (let i = 0; i < 5; i++) {
      globalThis.gc()
      await new Promise(setImmediate)
    }
    ax.publisher('waiting').publish('still here')
    assert.equal((await waiting).value, 'still here')
  })

  it('lets the process end with idle handles', async () => {
    for (const how of ['', 'exit']) {
      const { code, signal, stdout, stderr } = await child('idle', how).ended
      assert.deepEqual({ code, signal, stderr, stdout }, { code: 0, signal: null, stderr: '', stdout: 'idle\n' })
      assert.deepEqual(leftovers().filter((path) => path.includes('/idle/')), [], how)
    }
  })

  it('keeps the process alive while somebody waits', async () => {
    const ax = domain()
    const waiting = child('receive', ax.name)
    await waiting.said('ready')
    const pub = ax.publisher('t')
    await pub.waitForSubscribers(1, { timeout: 5000 })
    pub.publish('news')
    const { code, stdout } = await waiting.ended
    assert.equal(code, 0)
    assert.match(stdout, /got news/)
    await until(() => pub.subscribers === 0)
  })

  it('notices a peer that is killed', async () => {
    const ax = domain()
    const victim = child('receive', ax.name)
    await victim.said('ready')
    const pub = ax.publisher('t', { overflow: 'block', capacity: 65_536 })
    await pub.waitForSubscribers(1, { timeout: 5000 })
    victim.process.kill('SIGSTOP')
    await assert.rejects(async () => {
      while (true) await pub.publishAsync(Buffer.alloc(1000), { timeout: 50 })
    }, is('Timeout'))
    const stuck = pub.publishAsync(Buffer.alloc(1000), { timeout: 10_000 })
    victim.process.kill('SIGKILL')
    await stuck
    assert.equal((await victim.ended).signal, 'SIGKILL')
    assert.equal(pub.subscribers, 0)
    // The next to open something sweeps up after the dead.
    domain(ax.name).publisher('t')
  })

  it('never gives back memory that was moved out of a callback', async () => {
    const ax = domain()
    const { code, signal, stdout, stderr } = await child('transfer', ax.name).ended
    assert.deepEqual({ code, signal, stdout, stderr }, { code: 0, signal: null, stdout: 'kept\n', stderr: '' })
    ax.unlink('ring', 'r')
    ax.publisher('t').close()
  })

  it('names what is missing when no descriptor is left', async () => {
    const ax = domain()
    const { code, stdout, stderr } = await child('descriptors:64', ax.name).ended
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'named\n', stderr: '' })
  })

  it('lets a Worker end in every way', async () => {
    const { code, signal, stdout, stderr } = await child('worker', '3').ended
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
    const { ends, left, ownerDied } = JSON.parse(stdout)
    assert.deepEqual(ends, { idle: 0, exit: 0, throw: 1, terminate: 1, borrowing: 1, closing: 0, leaving: 0 })
    assert.equal(left, 0)
    assert.equal(ownerDied, false, 'what it had went back')
  })

  it('can be opened again and again', () => {
    for (let i = 0; i < 50; i++) {
      const ax = open('again')
      ax.publisher('t').publish(i)
      ax.close()
    }
  })
})
