import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { AxonicError, WaitSet, domain, errors, is, regionFromFd } from './helper.mjs'

const core = readFileSync(new URL('../../ipc-core/src/error.rs', import.meta.url), 'utf8')
const types = readFileSync(new URL('../types/error.d.ts', import.meta.url), 'utf8')

describe('errors', () => {
  it('map every kind of the core', () => {
    const kinds = [...core.matchAll(/^ {4}([A-Z]\w+) = (\d+),$/gm)].map(([, name, number]) => [Number(number), name])
    assert.ok(kinds.length >= 22)
    assert.deepEqual(errors.map((row) => [row.number, row.name]), kinds)
    for (const { name, code } of errors) {
      const spelled = name.replace(/(?<!^)([A-Z])/g, '_$1').toUpperCase()
      assert.equal(code, `AXONIC_${spelled}`)
      const error = new AxonicError(name, 'what happened')
      assert.equal(error.code, code)
      assert.equal(error.kind, name)
      assert.equal(error.name, 'AxonicError')
      assert.match(String(error.stack), /^AxonicError: what happened/)
    }
  })

  it('are all in the type declarations', () => {
    for (const { name, code } of errors) {
      assert.ok(types.includes(`'${name}'`), name)
      assert.ok(types.includes(`'${code}'`), code)
    }
  })

  it('say what number was given, for what, and what it takes', async () => {
    const ax = domain()
    const [set, pub, sub] = [new WaitSet(), ax.publisher('t'), ax.subscriber('t')]
    const [region, ring] = [ax.region('r', { size: 10 }), ax.ringProducer('ring')]
    const count = 'a whole number from 0 to 9007199254740991'
    const positive = 'a whole number from 1 to 9007199254740991'
    const descriptor = 'a whole number from 0 to 2147483647'
    const wrong = [
      [() => set.addFd(NaN), `the descriptor is NaN (number); it must be ${descriptor}`],
      [() => set.addFd(0.5), `the descriptor is 0.5 (number); it must be ${descriptor}`],
      [() => set.addFd(-1), `the descriptor is -1 (number); it must be ${descriptor}`],
      [() => set.addFd(2 ** 32), `the descriptor is 4294967296 (number); it must be ${descriptor}`],
      [() => set.addTimer(NaN), 'the period of a timer is NaN (number); it must be milliseconds, a number that is not negative'],
      [() => regionFromFd(NaN), `the descriptor is NaN (number); it must be ${descriptor}`],
      [() => regionFromFd('0'), `the descriptor is '0' (string); it must be ${descriptor}`],
      [() => region.read(NaN), `offset is NaN (number); it must be ${count}`],
      [() => region.read(5n), `offset is 5n (bigint); it must be ${count}`],
      [() => region.read(0, 1.5), `length is 1.5 (number); it must be ${count}`],
      [() => region.read(0, '5'), `length is '5' (string); it must be ${count}`],
      [() => region.read(11), "region 'r': 0 bytes at 11 are outside its 10 bytes"],
      [() => region.write(0.5, Buffer.alloc(1)), `offset is 0.5 (number); it must be ${count}`],
      [() => ring.reserve('5', () => {}), `the length is '5' (string); it must be ${count}`],
      [() => ring.reserve(NaN, () => {}), `the length is NaN (number); it must be ${count}`],
      [() => pub.loan(1.5, () => {}), `the length of a loan is 1.5 (number); it must be ${count}`],
      [() => pub.loan({ bytes: '5' }, () => {}), `the length of a loan is '5' (string); it must be ${count}`],
      [() => pub.loan({ shape: 5 }, () => {}), 'shape is 5 (number); it must be an array'],
      [() => pub.waitForSubscribers(NaN), `count is NaN (number); it must be ${count}`],
      [() => pub.waitForSubscribers('1'), `count is '1' (string); it must be ${count}`],
      [() => sub.tryReceiveMany(2.5), `max is 2.5 (number); it must be ${positive}`],
      [() => sub.receiveMany(NaN), `max is NaN (number); it must be ${positive}`]
    ]
    for (const [call, message] of wrong) {
      await assert.rejects(async () => call(), (error) => is('InvalidArgument')(error) && assert.equal(error.message, message) === undefined)
    }
    assert.equal(set.size, 0)
    // More than 32 bits can hold, and so not 0.
    await assert.rejects(pub.waitForSubscribers(2 ** 32, { timeout: 1 }), is('Timeout'))
    assert.throws(() => set.addTimer(Infinity), is('InvalidArgument'))
    for (const handle of [set, pub, sub, region, ring]) handle.close()
    ax.unlink('region', 'r')
  })

  it('come from the core as AxonicError with the stack of the call', function failing () {
    const ax = domain()
    try {
      ax.publisher('a/b')
      assert.fail('it was accepted')
    } catch (error) {
      assert.ok(is('InvalidName')(error))
      assert.ok(error instanceof Error)
      assert.match(error.stack, /failing/)
      assert.ok(error.message.includes('a/b'), error.message)
    }
  })
})
