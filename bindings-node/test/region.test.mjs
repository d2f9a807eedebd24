import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { domain, is, regionFromFd, sealedRegion } from './helper.mjs'

describe('region', () => {
  it('is the same memory for everybody', () => {
    const ax = domain()
    const a = ax.region('frame', { size: 4096 })
    const b = domain(ax.name).region('frame')
    assert.deepEqual([a.size, a.name, a.created, b.created, b.size], [4096, 'frame', true, false, 4096])
    a.buffer.write('hello', 10)
    assert.equal(b.buffer.toString('latin1', 10, 15), 'hello')
    b.write(100, Float32Array.of(1.5))
    assert.equal(a.buffer.readFloatLE(100), 1.5)
    assert.equal(a.read(10, 5).toString(), 'hello')
    assert.equal(a.read().length, 4096)
    assert.equal(a.read(4090).length, 6)
    assert.equal(a.buffer, a.buffer, 'one Buffer')
    const copy = a.read(10, 5)
    a.buffer.fill(0)
    assert.equal(copy.toString(), 'hello')
    ax.unlink('region', 'frame')
  })

  it('checks offsets and sizes', () => {
    const ax = domain()
    const region = ax.region('r', { size: 100 })
    assert.throws(() => region.read(90, 20), is('InvalidArgument'))
    assert.throws(() => region.read(-1, 5), is('InvalidArgument'))
    assert.throws(() => region.read(1e300, 5), is('InvalidArgument'))
    assert.throws(() => region.write(99, Buffer.alloc(2)), is('InvalidArgument'))
    assert.throws(() => region.write(0, 'text'), is('InvalidArgument'))
    assert.throws(() => ax.region('r', { size: 200 }), is('InvalidArgument'))
    assert.throws(() => ax.region('r', { size: 100, create: 'createNew' }), is('AlreadyExists'))
    assert.throws(() => ax.region('missing', { create: 'open' }), is('NotFound'))
    assert.throws(() => ax.region('r', { create: 'maybe' }), is('InvalidArgument'))
    ax.unlink('region', 'r')
  })

  it('keeps its memory for as long as a Buffer uses it', () => {
    const ax = domain()
    const region = ax.region('kept', { size: 1 << 20 })
    const slice = region.buffer.subarray(5, 10)
    slice.fill(7)
    region.close()
    ax.unlink('region', 'kept')
    ax.close()
    globalThis.gc?.()
    assert.deepEqual(slice, Buffer.alloc(5, 7))
    slice.fill(8)
    assert.throws(() => region.buffer, is('Closed'))
    assert.throws(() => region.read(), is('Closed'))
    assert.throws(() => region.write(0, Buffer.alloc(1)), is('Closed'))
    region.close()
  })

  it('can be sealed and handed to another process', () => {
    const region = sealedRegion(Buffer.from('a fact'))
    assert.deepEqual([region.size, region.writable], [6, false])
    assert.throws(() => region.write(0, Buffer.from('x')), (error) => error.code?.startsWith('AXONIC_'))
    assert.throws(() => region.buffer, is('Unsupported'))
    const program = `
      import { regionFromFd } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)}
      process.stdout.write(regionFromFd(3).read().toString())`
    const { stdout, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe', region.fd]
    })
    assert.equal(status, 0, stderr.toString())
    assert.equal(stdout.toString(), 'a fact')
    for (const fd of [-1, 1 << 20, 'x']) assert.throws(() => regionFromFd(fd), is('InvalidArgument'))
    assert.throws(() => regionFromFd(0), (error) => error.code.startsWith('AXONIC_'))
    const ax = domain()
    assert.throws(() => ax.region('named', { size: 1 }).fd, is('Unsupported'))
    ax.unlink('region', 'named')
    region.close()
  })

  it('shows itself', () => {
    const ax = domain()
    const region = ax.region('shown', { size: 8 })
    const shown = "Region { name: 'shown', size: 8, created: true, writable: true, closed: false }"
    assert.equal(inspect(region, { breakLength: Infinity }), shown)
    ax.unlink('region', 'shown')
  })
})
