import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { WaitSet, domain, is } from './helper.mjs'

describe('wait set', () => {
  it('tells which of many is ready', async () => {
    const ax = domain()
    const a = ax.subscriber('a')
    const b = ax.subscriber('b')
    const set = new WaitSet()
    set.add(a).add(b, 'the second')
    assert.equal(set.size, 2)
    // Level-triggered: whoever was never asked may have something.
    for (const sub of await set.wait()) (sub === a ? a : b).tryReceive()
    assert.deepEqual(await set.wait({ timeout: 10 }), [])
    const pub = ax.publisher('b')
    setTimeout(() => pub.publish(1), 10)
    assert.deepEqual(await set.wait({ timeout: 5000 }), ['the second'])
    assert.equal(b.tryReceive().value, 1)
    assert.equal(b.tryReceive(), null)
    ax.publisher('a').publish(2)
    const ready = await set.wait()
    assert.equal(ready.length, 1)
    assert.equal(ready[0], a)
    a.tryReceiveMany()
    set.remove('the second')
    assert.equal(set.size, 1)
    pub.publish(3)
    assert.deepEqual(await set.wait({ timeout: 20 }), [])
    set.close()
  })

  it('tells when a publisher should try again', async () => {
    const ax = domain()
    const sub = ax.subscriber('t')
    const pub = ax.publisher('t', { overflow: 'block', capacity: 65_536 })
    const set = new WaitSet().add(pub)
    assert.throws(() => { while (true) pub.publish(Buffer.alloc(1000)) }, is('WouldBlock'))
    while ((await set.wait({ timeout: 50 })).length > 0) {
      assert.throws(() => { while (true) pub.publish(Buffer.alloc(1000)) }, is('WouldBlock'))
    }
    setTimeout(() => sub.tryReceiveMany(10_000), 10)
    assert.deepEqual(await set.wait({ timeout: 5000 }), [pub])
    pub.publish(1)
    set.close()
  })

  it('mixes in timers and foreign descriptors', async () => {
    const set = new WaitSet()
    set.addTimer(20, 'tick')
    const begun = performance.now()
    for (let i = 0; i < 3; i++) assert.deepEqual(await set.wait({ timeout: 5000 }), ['tick'])
    assert.ok(performance.now() - begun >= 40)
    set.remove('tick')
    assert.deepEqual(await set.wait({ timeout: 60 }), [])
    const path = `${process.env.AXONIC_RUNTIME_DIR}/fifo`
    execFileSync('mkfifo', [path])
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    unlinkSync(path)
    set.addFd(fd)
    assert.deepEqual(await set.wait({ timeout: 20 }), [])
    writeSync(fd, 'x')
    assert.deepEqual(await set.wait({ timeout: 5000 }), [fd])
    set.remove(fd)
    closeSync(fd)
    set.close()
    assert.throws(() => set.addTimer(1, 't'), is('Closed'))
    const other = new WaitSet()
    assert.throws(() => other.addTimer(-1, 't'), is('InvalidArgument'))
    assert.throws(() => other.addFd('x'), is('InvalidArgument'))
    assert.throws(() => other.add({}), is('InvalidArgument'))
    other.close()
  })

  it('stops at a signal and at its end', async () => {
    const set = new WaitSet()
    const reason = new Error('enough')
    const controller = new AbortController()
    const waiting = set.wait({ signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(waiting, (error) => error === reason)
    const last = set.wait()
    set.close()
    set.close()
    await assert.rejects(last, is('Closed'))
    assert.throws(() => set.ready(), is('Closed'))
    assert.equal(inspect(set), 'WaitSet { size: 0, closed: true }')
  })
})
