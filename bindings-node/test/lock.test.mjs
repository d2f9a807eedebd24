import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { Held, child, domain, is, sleep, until } from './helper.mjs'

const { dispose = Symbol.for('nodejs.dispose'), asyncDispose = Symbol.for('nodejs.asyncDispose') } = Symbol

/** A second participant of the same domain: another process, as far as locks can tell. */
const other = (ax) => domain(ax.name)

/** The handles of a lock in all processes, as others see them: whether each waits. See docs/protocol.md. */
function handles (ax, name) {
  const file = readFileSync(`${ax.path}/locks/${name}`)
  const rows = Array.from({ length: 1024 }, (_, row) => file.subarray(4096 + row * 128))
  return rows.filter((row) => row.readBigUInt64LE() !== 0n).map((row) => (row[8] & 1) === 1)
}

const waiting = (ax, name) => handles(ax, name).filter(Boolean).length

/** A child that has this of a lock. */
async function holder (ax, what) {
  const holding = child('lock', ax.name, what)
  await holding.said(`has ${what}`)
  return holding
}

async function kill (victim) {
  victim.process.kill('SIGKILL')
  assert.equal((await victim.ended).signal, 'SIGKILL')
}

/** The locks that somebody has: how to open one, how a task takes it, and how another takes what excludes that. */
const owned = {
  mutex: { openIn: (ax) => ax.mutex('m'), take: 'acquire', exclude: 'acquire' },
  'rwlock, read': { openIn: (ax) => ax.rwlock('rw'), take: 'read', exclude: 'write' },
  'rwlock, written': { openIn: (ax) => ax.rwlock('rw'), take: 'write', exclude: 'read' },
  semaphore: { openIn: (ax) => ax.semaphore('s', 1), take: 'acquire', exclude: 'acquire' }
}

const trying = (call) => `try${call[0].toUpperCase()}${call.slice(1)}`

for (const [name, { openIn, take: how, exclude }] of Object.entries(owned)) {
  const take = (lock, options) => lock[how](options)
  const attempt = (lock) => lock[trying(how)]()

  describe(name, { timeout: 60_000 }, () => {
    it('is taken, refused and given back', async () => {
      const ax = domain()
      const [lock, theirs] = [openIn(ax), openIn(other(ax))]
      const held = await theirs[exclude]()
      assert.ok(held instanceof Held)
      assert.equal(held.ownerDied, false)
      assert.equal(attempt(lock), undefined)
      await assert.rejects(take(lock, { timeout: 0 }), is('Timeout'))
      await assert.rejects(take(lock, { timeout: 10 }), (error) => is('Timeout')(error) && / within 10ms: had by .*doctor/.test(error.message))
      await assert.rejects(take(lock, { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
      await assert.rejects(take(lock, { signal: AbortSignal.abort('no more') }), (reason) => reason === 'no more')
      await assert.rejects(take(lock, { timeout: 'soon' }), is('InvalidArgument'))
      held.release()
      assert.throws(() => held.release(), (error) => is('Closed')(error) && /released already/.test(error.message))
      for (const end of [(it) => it.release(), (it) => it[dispose](), (it) => it[asyncDispose]()]) {
        const mine = attempt(lock)
        assert.equal(mine.ownerDied, false)
        assert.equal(theirs[trying(exclude)](), undefined)
        end(mine)
        mine[dispose]()
      }
      ;(await theirs[exclude]({ timeout: 1000 })).release()
    })

    it('is passed on to who waits in another process and here', async () => {
      const ax = domain()
      const [lock, theirs] = [openIn(ax), openIn(other(ax))]
      const held = await theirs[exclude]()
      const taken = take(lock, { timeout: 5000 })
      await sleep(5)
      held.release()
      const mine = await taken
      const back = theirs[exclude]({ timeout: 5000 })
      await sleep(5)
      mine.release()
      ;(await back).release()
    })

    it('keeps nothing and nobody waiting when a wait is given up', async () => {
      const ax = domain()
      const lock = openIn(ax)
      const [holding, patient] = [openIn(other(ax)), openIn(other(ax))]
      for (let i = 0; i < 10; i++) {
        const held = await holding[exclude]()
        await assert.rejects(take(lock, { timeout: 1 }), is('Timeout'))
        await assert.rejects(take(lock, { timeout: 0 }), is('Timeout'))
        const next = take(patient, { timeout: 5000 })
        const stop = new AbortController()
        const aborted = assert.rejects(take(lock, { signal: stop.signal }), (reason) => reason === 'enough')
        await sleep(2)
        assert.equal(waiting(ax, lock.name), 2)
        const begun = performance.now()
        held.release()
        // Whoever was woken for nothing passes it on; a wake-up that is lost is noticed after a second only.
        stop.abort('enough')
        await aborted
        const got = await next
        assert.ok(performance.now() - begun < 500, `turn ${i}: ${performance.now() - begun} ms`)
        got.release()
        assert.equal(waiting(ax, lock.name), 0)
      }
      assert.notEqual(attempt(lock), undefined)
    })

    it('takes no wake-up from who waits when it only tries', async () => {
      const ax = domain()
      const [lock, theirs] = [openIn(ax), openIn(other(ax))]
      let held = await theirs[exclude]()
      // From now on a handle is watched.
      const watched = take(lock, { timeout: 5000 })
      held.release()
      ;(await watched).release()
      held = await theirs[exclude]()
      const patient = take(openIn(other(ax)), { timeout: 5000 })
      await sleep(5)
      for (let i = 0; i < 3; i++) assert.equal(attempt(lock), undefined)
      assert.equal(waiting(ax, lock.name), 1)
      const begun = performance.now()
      held.release()
      ;(await patient).release()
      assert.ok(performance.now() - begun < 500)
    })

    it('goes back when it, or its domain, is closed', async () => {
      for (const close of [(lock) => lock.close(), (lock, ax) => ax.close()]) {
        const ax = domain()
        const theirs = openIn(other(ax))
        const lock = openIn(ax)
        const held = await lock[exclude]()
        const next = theirs[exclude]({ timeout: 5000 })
        const waits = [take(lock), take(lock, { timeout: 5000 })]
        const rejected = Promise.all(waits.map((wait) => assert.rejects(wait, is('Closed'))))
        await sleep(5)
        close(lock, ax)
        await rejected
        assert.equal(lock.closed, true)
        assert.throws(() => held.release(), is('Closed'))
        held[dispose]()
        await held[asyncDispose]()
        assert.throws(() => attempt(lock), is('Closed'))
        await assert.rejects(take(lock), is('Closed'))
        ;(await next).release()
      }
    })
  })
}

it('tells who has a lock', async () => {
  const ax = domain()
  assert.throws(() => ax.lockHolders('m'), (error) => is('NotFound')(error) && /lock 'm' does not exist/.test(error.message))
  assert.throws(() => ax.lockHolders(7), is('InvalidArgument'))
  const holding = await holder(ax, 'mutex')
  const [theirs, ...more] = ax.lockHolders('m')
  const { pid, label, since, alive, stopped, role } = theirs
  assert.deepEqual([pid, label, alive, stopped, role], [holding.process.pid, 'lock.mjs', true, false, 'owner'])
  assert.ok(Math.abs(Date.now() - since) < 60_000 && Object.isFrozen(theirs))
  assert.deepEqual([more, Object.keys(theirs)], [[], ['pid', 'label', 'since', 'alive', 'stopped', 'role']])
  await kill(holding)
  assert.deepEqual(ax.lockHolders('m').map(({ pid, alive }) => [pid, alive]), [[holding.process.pid, false]])
  const mine = await ax.mutex('m').acquire()
  assert.deepEqual(ax.lockHolders('m').map(({ pid, alive }) => [pid, alive]), [[process.pid, true]])
  mine.release()
  const reading = [await ax.rwlock('rw').read(), await ax.rwlock('rw').read()]
  const permits = [await ax.semaphore('s', 3).acquire(), await ax.semaphore('s', 3).acquire()]
  assert.deepEqual(ax.lockHolders('rw').map(({ role }) => role), ['reader', 'reader'])
  assert.deepEqual(ax.lockHolders('s').map(({ role }) => role), ['permit', 'permit'])
  for (const held of [...reading, ...permits]) held.release()
  ax.event('e')
  assert.deepEqual(['m', 'rw', 's', 'e'].flatMap((name) => ax.lockHolders(name)), [])
})

describe('lock', { timeout: 120_000 }, () => {
  it('is the same object for the same name', () => {
    const ax = domain()
    const all = {
      mutex: () => ax.mutex('m'),
      rwlock: () => ax.rwlock('rw', { wait: 'block' }),
      semaphore: () => ax.semaphore('s', 3),
      event: () => ax.event('e', { autoReset: true }),
      barrier: () => ax.barrier('b', 2)
    }
    for (const [noun, again] of Object.entries(all)) {
      const lock = again()
      assert.equal(again(), lock, noun)
      assert.equal(lock.name, noun === 'rwlock' ? 'rw' : noun[0])
      assert.notEqual(other(ax)[noun](lock.name, lock.permits ?? lock.parties ?? { autoReset: lock.autoReset }), lock)
      lock.close()
      lock.close()
      assert.notEqual(again(), lock, `${noun}, closed`)
      assert.equal(lock.closed, true)
      assert.match(inspect(lock), /closed: true/)
      assert.match(inspect(again()), noun === 'semaphore' ? /^Semaphore { name: 's', permits: 3, available: 3 }$/ : /name/)
    }
    assert.throws(() => ax.semaphore('s', 4), (error) => is('InvalidArgument')(error) && /3, not 4/.test(error.message))
    assert.throws(() => ax.barrier('b', 3), is('InvalidArgument'))
    assert.throws(() => ax.event('e'), is('InvalidArgument'))
    assert.throws(() => ax.event('m'), (error) => is('InvalidArgument')(error) && /is a mutex, not an event/.test(error.message))
    for (const [noun, ...wrong] of [
      ['mutex', 5], ['mutex', ''], ['mutex', 'x', null], ['mutex', 'x', { wait: 'long' }], ['semaphore', 'x'],
      ['semaphore', 'x', 0], ['semaphore', 'x', 1.5], ['semaphore', 'x', 'many'], ['barrier', 'x', 1], ['event', 'x', { autoReset: 1 }]
    ]) {
      assert.throws(() => ax[noun](...wrong), (error) => is(wrong[0] === '' ? 'InvalidName' : 'InvalidArgument')(error), `${noun} ${wrong}`)
    }
  })

  it('serves tasks in order, one at a time', async () => {
    const ax = domain()
    const mutex = ax.mutex('m')
    const seen = []
    let inside = 0
    await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const held = await ax.mutex('m').acquire()
      assert.equal(++inside, 1)
      assert.equal(mutex.locked, true)
      seen.push(i)
      if (i % 10 === 0) await sleep(1)
      inside--
      held.release()
    }))
    assert.deepEqual(seen, Array.from({ length: 200 }, (_, i) => i))
    assert.equal(mutex.locked, false)
  })

  it('does not stop the event loop', async () => {
    const ax = domain()
    const held = await other(ax).mutex('m').acquire()
    let ticks = 0
    const ticking = setInterval(() => ticks++, 1)
    await assert.rejects(ax.mutex('m').acquire({ timeout: 200 }), is('Timeout'))
    assert.ok(ticks > 20, `${ticks} ticks`)
    held.release()
    // Nor does a task that always gets it at once.
    ticks = 0
    const end = performance.now() + 100
    while (performance.now() < end) (await ax.mutex('m').acquire()).release()
    clearInterval(ticking)
    assert.ok(ticks > 5, `${ticks} ticks`)
  })

  it('keeps the process while somebody waits', async () => {
    const ax = domain()
    const held = await ax.mutex('m').acquire()
    const waiting = child('lock', ax.name, 'mutex')
    await waiting.said('ready')
    await sleep(20)
    assert.doesNotMatch(waiting.stdout, /has mutex/)
    held.release()
    await waiting.said('has mutex')
    await kill(waiting)
    assert.equal((await ax.mutex('m').acquire({ timeout: 5000 })).ownerDied, true)
  })

  it('tells who gets a mutex from the dead, once', async () => {
    const ax = domain()
    const mutex = ax.mutex('m')
    for (const wait of [true, false]) {
      const victim = await holder(ax, 'mutex')
      const waiting = wait && mutex.acquire({ timeout: 5000 })
      await sleep(5)
      await kill(victim)
      const held = wait ? await waiting : mutex.tryAcquire()
      assert.equal(held.ownerDied, true)
      assert.match(inspect(held), /Held { lock: "mutex 'm'", ownerDied: true, released: false }/)
      held.release()
      const next = await mutex.acquire()
      assert.equal(next.ownerDied, false)
      next.release()
    }
  })

  it('tells who reads, or writes, after a writer died', async () => {
    const ax = domain()
    const lock = ax.rwlock('rw')
    await kill(await holder(ax, 'write'))
    const [first, second] = [await lock.read({ timeout: 5000 }), await lock.read({ timeout: 5000 })]
    assert.deepEqual([first.ownerDied, second.ownerDied], [true, false])
    first.release()
    second.release()
    await kill(await holder(ax, 'write'))
    const writer = await lock.write({ timeout: 5000 })
    assert.equal(writer.ownerDied, true)
    writer.release()
    await kill(await holder(ax, 'read'))
    const last = await lock.write({ timeout: 5000 })
    assert.equal(last.ownerDied, false, 'a reader changes nothing')
    last.release()
  })

  it('is read by many, and written by one', async () => {
    const ax = domain()
    const lock = ax.rwlock('rw')
    const readers = await Promise.all([lock.read(), lock.read(), other(ax).rwlock('rw').read()])
    let written = false
    const writing = lock.write({ timeout: 5000 }).then((held) => {
      written = true
      return held
    })
    await sleep(5)
    assert.deepEqual([lock.tryRead(), other(ax).rwlock('rw').tryRead()], [undefined, undefined], 'a writer that waits goes first')
    for (const reader of readers) {
      assert.equal(written, false)
      reader.release()
    }
    const writer = await writing
    const reading = [lock.read({ timeout: 5000 }), lock.read({ timeout: 5000 })]
    assert.equal(lock.tryRead(), undefined)
    writer.release()
    for (const reader of await Promise.all(reading)) reader.release()
  })

  it('is written at some time however many read, and read again when a writer gave up', async () => {
    const ax = domain()
    const lock = ax.rwlock('rw')
    let [reads, over] = [0, false]
    const readers = Array.from({ length: 3 }, async (_, i) => {
      await sleep(i)
      while (!over) {
        const held = await lock.read({ timeout: 5000 })
        await sleep(3)
        reads++
        held.release()
      }
    })
    await until(() => reads > 5)
    ;(await lock.write({ timeout: 5000 })).release()
    const held = await other(ax).rwlock('rw').read()
    for (const options of [{ timeout: 0 }, { timeout: 10 }, { signal: AbortSignal.timeout(10) }]) {
      await assert.rejects(lock.write(options))
      reads = 0
      await until(() => reads > 5)
    }
    held.release()
    over = true
    await Promise.all(readers)
    assert.notEqual(lock.tryWrite(), undefined)
  })

  it('lets so many tasks in as a semaphore has permits', async () => {
    const ax = domain()
    const semaphore = ax.semaphore('s', 3)
    assert.deepEqual([semaphore.permits, semaphore.available], [3, 3])
    let [inside, most] = [0, 0]
    // Many more than there can be handles.
    await Promise.all(Array.from({ length: 3000 }, async () => {
      const held = await semaphore.acquire()
      most = Math.max(most, ++inside)
      assert.equal(held.ownerDied, false)
      await null
      inside--
      held.release()
    }))
    assert.equal(most, 3)
    assert.equal(semaphore.available, 3)
  })

  it('takes few descriptors for many permits', async () => {
    const ax = domain()
    const [semaphore, theirs] = [ax.semaphore('s', 500), other(ax).semaphore('s', 500)]
    const [first, second] = [await semaphore.acquire(), semaphore.tryAcquire()]
    const given = await Promise.all(Array.from({ length: 100 }, () => theirs.acquire()))
    const descriptors = () => readdirSync('/proc/self/fd').length
    const before = descriptors()
    const had = Array.from({ length: 398 }, () => semaphore.tryAcquire())
    // Those that are waited for are no more to keep.
    for (const permit of given) {
      const waiting = semaphore.acquire({ timeout: 5000 })
      permit.release()
      had.push(await waiting)
    }
    assert.ok(descriptors() <= before + 8, `${descriptors() - before} more`)
    assert.deepEqual([semaphore.available, semaphore.tryAcquire()], [0, undefined])
    for (const permit of [first, second, ...had]) permit.release()
    assert.equal(semaphore.available, 500)
  })

  it('gives permits back that somebody had who died', async () => {
    const ax = domain()
    const semaphore = ax.semaphore('s', 2)
    const victims = [await holder(ax, 'permit'), await holder(ax, 'permit')]
    assert.equal(semaphore.available, 0)
    assert.equal(semaphore.tryAcquire(), undefined)
    const waiting = semaphore.acquire({ timeout: 5000 })
    await sleep(5)
    await kill(victims[0])
    await waiting
    await kill(victims[1])
    assert.equal(semaphore.available, 1)
  })

  it('lets everybody pass an event who waits when it is set', async () => {
    const ax = domain()
    const [event, theirs] = [ax.event('e'), other(ax).event('e')]
    assert.deepEqual([event.isSet, event.tryWait()], [false, false])
    const passes = [event.wait(), event.wait({ timeout: 5000 }), theirs.wait({ timeout: 5000 })]
    const elsewhere = child('lock', ax.name, 'event')
    await elsewhere.said('ready')
    event.set()
    event.clear()
    const late = event.wait({ timeout: 30 })
    assert.deepEqual(await Promise.all(passes), [undefined, undefined, undefined])
    await assert.rejects(late, (error) => is('Timeout')(error) && /not set within 30ms; give it more time/.test(error.message))
    await elsewhere.said('has event')
    await kill(elsewhere)
    theirs.set()
    assert.equal(event.isSet, true)
    await event.wait({ timeout: 0 })
    assert.deepEqual([event.tryWait(), event.tryWait()], [true, true])
    event.clear()
    // Whoever waits has not looked again yet.
    const before = event.wait({ timeout: 5000 })
    assert.equal(event.tryWait(), false)
    theirs.set()
    assert.equal(event.tryWait(), true)
    await before
    event.clear()
    assert.equal(theirs.isSet, false)
    await assert.rejects(event.wait({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    const closed = assert.rejects(event.wait(), is('Closed'))
    event.close()
    await closed
    for (const call of [() => event.set(), () => event.clear(), () => event.isSet, () => event.tryWait()]) assert.throws(call, is('Closed'))
    await assert.rejects(event.wait(), is('Closed'))
  })

  it('lets one pass an event that is reset by itself', async () => {
    const ax = domain()
    const [event, theirs] = [ax.event('e', { autoReset: true }), other(ax).event('e', { autoReset: true })]
    let passed = 0
    const waits = Array.from({ length: 5 }, () => event.wait({ timeout: 5000 }).then(() => passed++))
    for (let i = 1; i <= 5; i++) {
      theirs.set()
      await until(() => passed === i)
      await sleep(2)
      assert.equal(passed, i)
    }
    await Promise.all(waits)
    event.set()
    assert.deepEqual([theirs.tryWait(), theirs.tryWait(), event.isSet], [true, false, false])
    // Who gave up takes nothing from who did not.
    await assert.rejects(event.wait({ timeout: 1 }), is('Timeout'))
    const begun = performance.now()
    const waiting = theirs.wait({ timeout: 5000 })
    setTimeout(() => event.set(), 5)
    await waiting
    assert.ok(performance.now() - begun < 500)
  })

  it('lets parties go on when all have arrived', async () => {
    const ax = domain()
    const [barrier, theirs] = [ax.barrier('b', 3), other(ax).barrier('b', 3)]
    for (let round = 0; round < 20; round++) {
      const leads = await Promise.all([barrier.wait(), theirs.wait({ timeout: 5000 }), barrier.wait({ timeout: 5000 })])
      assert.deepEqual(leads.sort(), [false, false, true])
    }
    for (const [waiting, told] of [[[], /of 3 parties 2 are missing; nobody else waits there/], [[theirs], /1 are missing; there waits this process/]]) {
      const waits = waiting.map((there) => assert.rejects(there.wait({ timeout: 60 }), is('Timeout')))
      await assert.rejects(barrier.wait({ timeout: 10 }), (error) => is('Timeout')(error) && told.test(error.message))
      await Promise.all(waits)
    }
    const early = barrier.wait({ timeout: 5000 })
    assert.deepEqual([barrier.waiting, theirs.waiting, barrier.parties], [1, 1, 3])
    for (const options of [{ timeout: 0 }, { timeout: 10 }]) await assert.rejects(theirs.wait(options), is('Timeout'))
    await assert.rejects(theirs.wait({ signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
    await assert.rejects(theirs.wait({ signal: AbortSignal.abort('no') }), (reason) => reason === 'no')
    assert.equal(theirs.waiting, 1, 'who gave up has not arrived')
    // Nor has who died.
    const victim = child('lock', ax.name, 'arrive')
    await until(() => barrier.waiting === 2)
    await kill(victim)
    await until(() => barrier.waiting === 1)
    const others = [theirs.wait({ timeout: 5000 }), theirs.wait({ timeout: 5000 })]
    assert.deepEqual((await Promise.all([early, ...others])).sort(), [false, false, true])
    const closed = assert.rejects(theirs.wait(), is('Closed'))
    theirs.close()
    await closed
    await assert.rejects(theirs.wait(), is('Closed'))
    assert.throws(() => theirs.waiting, is('Closed'))
    assert.equal(barrier.waiting, 0)
  })

  it('goes on where all arrived just when the time was over', async () => {
    const ax = domain()
    const [barrier, theirs] = [ax.barrier('b', 2), other(ax).barrier('b', 2)]
    const waiting = barrier.wait({ timeout: 10 })
    const last = theirs.wait()
    // Nobody looks until the time is over.
    const end = performance.now() + 30
    while (performance.now() < end);
    assert.deepEqual(await Promise.all([waiting, last]), [false, true])
  })

  it('is removed with its last handle, or by unlink', async () => {
    const ax = domain()
    ax.semaphore('s', 2)
    assert.throws(() => ax.unlink('lock', 's'), is('Busy'))
    ax.semaphore('s', 2).close()
    ax.semaphore('s', 5).close()
    assert.throws(() => ax.unlink('lock', 's'), is('NotFound'))
    // One whose owner died stays, to tell the next.
    await kill(await holder(ax, 'mutex'))
    ax.unlink('lock', 'm')
    assert.equal((await ax.mutex('m').acquire()).ownerDied, false)
  })

  it('needs one handle for a loop', async () => {
    const ax = domain()
    for (let i = 0; i < 5000; i++) {
      const lock = await ax.mutex('gpu').acquire()
      await lock[asyncDispose]()
    }
    assert.deepEqual(handles(ax, 'gpu'), [false])
  })
})
