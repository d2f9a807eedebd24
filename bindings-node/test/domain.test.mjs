import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import * as esm from '../index.mjs'
import { domain, is, leftovers, open } from './helper.mjs'

describe('domain', () => {
  it('is the same implementation for import and require', () => {
    const cjs = createRequire(import.meta.url)('../index.js')
    assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).filter((name) => name !== 'default').sort())
    for (const name of Object.keys(cjs)) assert.equal(cjs[name], esm[name], name)
    assert.equal(esm.default, cjs)
  })

  it('has a name, a place and a participant', () => {
    const ax = domain('named')
    assert.equal(ax.name, 'named')
    assert.ok(ax.path.startsWith(process.env.AXONIC_RUNTIME_DIR), ax.path)
    assert.match(ax.participant, /^\d+\.\d+$/)
    assert.equal(ax.closed, false)
    ax.close()
    assert.equal(ax.closed, true)
  })

  it('takes its name from AXONIC_DOMAIN, else "default"', () => {
    delete process.env.AXONIC_DOMAIN
    const plain = open()
    assert.equal(plain.name, 'default')
    plain.close()
    process.env.AXONIC_DOMAIN = 'from-environment'
    const ax = open()
    assert.equal(ax.name, 'from-environment')
    ax.close()
    delete process.env.AXONIC_DOMAIN
  })

  it('takes options without a name', () => {
    const ax = open({ label: 'me' })
    assert.equal(ax.name, 'default')
    ax.close()
  })

  it('separates domains', () => {
    const a = domain()
    const b = domain()
    const sub = a.subscriber('>')
    b.publisher('t').publish(Buffer.from('elsewhere'))
    a.publisher('t').publish(Buffer.from('here'))
    assert.equal(sub.tryReceive().data.toString(), 'here')
    assert.equal(sub.tryReceive(), null)
  })

  it('gives each open a participant of its own', () => {
    const a = domain('twice')
    const b = domain('twice')
    assert.notEqual(a.participant, b.participant)
    a.close()
    b.publisher('t').close()
    b.close()
  })

  it('refuses bad names and options, and leaves nothing', () => {
    const before = leftovers()
    for (const name of ['', 'a/b', '..', 'a\0b', 'x'.repeat(100_000)]) {
      assert.throws(() => open(name), is('InvalidName'), JSON.stringify(name.slice(0, 20)))
    }
    assert.throws(() => open(5), is('InvalidArgument'))
    for (const options of [{ mode: 'all' }, { mode: -1 }, { group: 2 ** 32 }, { maxParticipants: 1.5 }, { quota: -5 }]) {
      assert.throws(() => open('d', options), is('InvalidArgument'), JSON.stringify(options))
    }
    assert.deepEqual(leftovers(), before)
    const ax = domain()
    for (const name of ['', 'a/b', '..', 'a\0b', 'a..b', 'x'.repeat(100_000), 'a.*']) {
      assert.throws(() => ax.publisher(name), is('InvalidName'), JSON.stringify(name.slice(0, 20)))
    }
    assert.throws(() => ax.publisher(7), is('InvalidArgument'))
    assert.throws(() => ax.publisher('t', null), is('InvalidArgument'))
    assert.throws(() => ax.publisher('t', { overflow: 'sometimes' }), is('InvalidArgument'))
    assert.throws(() => ax.publisher('t', { capacity: -1 }), is('InvalidArgument'))
    assert.throws(() => ax.publisher('t', { capacity: '64' }), is('InvalidArgument'))
    assert.throws(() => ax.publisher('t', { capacity: 1.5 }), is('InvalidArgument'))
    assert.throws(() => ax.subscriber('t', { start: 'soon' }), is('InvalidArgument'))
    assert.throws(() => ax.subscriber('t', { maxBorrowed: 0 }), is('InvalidArgument'))
    assert.throws(() => ax.unlink('stack', 's'), is('InvalidArgument'))
  })

  it('shows itself', () => {
    const ax = domain('shown')
    assert.match(inspect(ax), /^Domain \{\s+name: 'shown',\s+path: '.*',\s+participant: '.*',\s+closed: false\s+\}$/s)
    assert.equal(inspect({ ax }, { depth: 0 }), '{ ax: [Domain] }')
    ax.close()
    assert.match(inspect(ax), /closed: true/)
  })
})
