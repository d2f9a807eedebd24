import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { child, domain, is, setLogger, until } from './helper.mjs'

const heard = []
const texts = () => heard.map(([, message]) => message)
const listen = () => {
  heard.length = 0
  setLogger((level, message) => heard.push([level, message]))
}

describe('the log', () => {
  afterEach(() => setLogger(null))

  it('tells what comes and goes, after the call', async () => {
    listen()
    const ax = domain()
    const region = ax.region('r', { size: 10 })
    assert.deepEqual(heard, [])
    await until(() => heard.length >= 2)
    assert.equal(heard.length, 2)
    assert.match(heard[0][1], /^domain '.*': joined as participant 0\.\d+, in \/dev\/shm/)
    assert.deepEqual(heard[1], ['debug', "region 'r': made it, 10 bytes"])
    region.close()
    ax.unlink('region', 'r')
    const sub = ax.subscriber('t')
    const pub = ax.publisher('t')
    pub.publish(1)
    assert.equal((await sub.receive()).value, 1)
    sub.close()
    pub.close()
    ax.close()
    await until(() => / left$/.test(texts().at(-1)))
    for (const words of ["subscriber 't': opened", "topic 't': opened publisher", "subscriber 't': follows", "topic 't': closed"]) {
      assert.ok(texts().some((text) => text.startsWith(words)), words)
    }
    assert.deepEqual(heard.filter(([level]) => level === 'info').map(([, text]) => text.slice(0, 21)), ["region 'r': unlinked "])
  })

  it('tells of a death to who waits', async () => {
    const ax = domain('log-deaths')
    const sub = ax.subscriber('t')
    listen()
    const doomed = child('logging', 'log-deaths')
    const message = await sub.receive()
    assert.equal(message.data.toString(), 'last words')
    doomed.process.kill('SIGKILL')
    await doomed.ended
    await assert.rejects(sub.receive({ timeout: 200 }), is('Timeout'))
    await until(() => texts().some((text) => /^subscriber 't': publisher .* died/.test(text)))
    sub.close()
  })

  it('hears a program that ends, to the last', async () => {
    const { stdout, code } = await child('logging', 'log-ends', 'end').ended
    assert.equal(code, 0)
    assert.match(stdout, /joined as participant .*\n(.*\n)*.* left\n$/)
  })

  it('lets a logger use the library, and does not tell what comes of it', async () => {
    const ax = domain()
    let more = true
    setLogger((level, message) => {
      heard.push([level, message])
      if (more) ax.region('inner', { size: 1 }).close()
      more = false
    })
    heard.length = 0
    ax.region('outer', { size: 1 }).close()
    await until(() => heard.length > 0)
    // What happened so far is told now.
    setLogger(null)
    assert.deepEqual(texts(), ["region 'outer': made it, 1 bytes"])
    for (const name of ['outer', 'inner']) ax.unlink('region', name)
    assert.equal(heard.length, 1)
  })

  it('lets no failing logger disturb a call, and hides no failure', async () => {
    const { stdout, stderr, code } = await child('logging', 'log-fails', 'fail').ended
    assert.deepEqual([stdout, stderr, code], ['region of 4\nuncaught the log is full\nuncaught the log is full\nuncaught the log is full\n', '', 0])
  })

  it('may be started anew by a module loaded anew', async () => {
    const { stdout, stderr, code } = await child('logging', 'log-anew', 'anew').ended
    assert.equal(stderr, '')
    assert.match(stdout, /^second domain 'log-anew': joined .*\nsecond domain .* left\n$/)
    assert.equal(code, 0)
  })

  it('is not kept busy by a logger that makes more of it', async () => {
    const { stdout, code } = await child('logging', 'log-endless', 'endless').ended
    assert.deepEqual([stdout, code], ['2\n', 0])
  })

  it('is told before process.exit', async () => {
    const { stdout, code } = await child('logging', 'log-exit', 'exit').ended
    assert.equal(code, 7)
    assert.match(stdout, /joined as participant .*\n.* left\n$/)
  })

  it('is silent by default, and refuses what is no function', async () => {
    const { stdout, stderr, code } = await child('logging', 'log-quiet', 'quiet').ended
    assert.deepEqual([stdout, stderr, code], ['', '', 0])
    for (const logger of ['x', {}, undefined, 1]) assert.throws(() => setLogger(logger), is('InvalidArgument'))
  })

  it('is each thread\'s own', async () => {
    listen()
    const code = `
      import { open, setLogger } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)}
      import { parentPort } from 'node:worker_threads'
      const heard = []
      setLogger((level, message) => heard.push(message))
      open('log-threads').close()
      while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      parentPort.postMessage(heard)
    `
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
    const told = await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
    assert.equal(told.length, 2)
    assert.ok(told.every((text) => text.startsWith("domain 'log-threads'")))
    assert.deepEqual(heard, [])
    await worker.terminate()
  })
})
