import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { AxonicError, domain, errors, is } from './helper.mjs'

const core = readFileSync(new URL('../../ipc-core/src/error.rs', import.meta.url), 'utf8')
const types = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')

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
