import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import axonic from '../index.mjs'
import native from '../lib/native.js'
import './helper.mjs'

const require = createRequire(import.meta.url)
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

describe('types', () => {
  it('are strict and hold for import and require', () => {
    const tsc = require.resolve('typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, '--noEmit', '--project', here('..')], { stdio: 'pipe', encoding: 'utf8' })
  })

  it('of the native half are what the facade expects', () => {
    const tsc = require.resolve('typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, '--noEmit', '--project', here('../lib')], { stdio: 'pipe', encoding: 'utf8' })
  })

  it('are all brought along by the one that users import', () => {
    const index = readFileSync(here('../index.d.ts'), 'utf8')
    const brought = [...index.matchAll(/^export \* from '\.\/types\/(\w+)\.js'$/gm)].map(([, room]) => `${room}.d.ts`)
    assert.deepEqual(brought.sort(), readdirSync(here('../types')).sort())
  })

  it('name every member of every class, and no other', () => {
    const hidden = new Set(['constructor', 'inspect'])
    for (const [name, Class] of Object.entries(axonic)) {
      if (typeof Class !== 'function' || !/^[A-Z]/.test(name) || Class.prototype instanceof Error) continue
      const declarations = readFileSync(here(`../types/${sourceOf(name)}.d.ts`), 'utf8')
      const start = declarations.search(new RegExp(`^export interface ${name}\\b`, 'm'))
      assert.ok(start >= 0, `${name} is not declared`)
      const body = declarations.slice(start, declarations.indexOf('\n}', start))
      const declared = new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)[(<:]/gm)].map(([, member]) => member))
      for (const member of Object.getOwnPropertyNames(Class.prototype)) {
        if (hidden.has(member) || ['close', 'closed'].includes(member)) continue
        assert.ok(declared.has(member), `${name}.${member} is not declared`)
        declared.delete(member)
      }
      // What is left must be fields that the constructor sets.
      const source = readFileSync(here(`../lib/${sourceOf(name)}.js`), 'utf8')
      for (const member of declared) assert.match(source, new RegExp(`this\\.${member} = `), `${name}.${member}`)
    }
  })

  it('run as they are written', () => {
    const typescript = require('typescript')
    const { outputText } = typescript.transpileModule(readFileSync(here('types/design.mts'), 'utf8'), {
      compilerOptions: { target: typescript.ScriptTarget.ES2022, module: typescript.ModuleKind.ESNext }
    })
    assert.match(outputText, /__addDisposableResource/, '`using` is compiled, not native')
    const directory = mkdtempSync(`${process.env.AXONIC_RUNTIME_DIR}/design-`)
    try {
      const program = `${directory}/design.mjs`
      writeFileSync(program, outputText.replace("'axonic'", JSON.stringify(new URL('../index.mjs', import.meta.url).href)))
      const output = execFileSync(process.execPath, [program], { encoding: 'utf8' })
      assert.deepEqual(JSON.parse(output), [480 * 640 * 3, 1, 2, null, 3, 'seen enough', 2, 5000, false, false, null])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

function sourceOf (name) {
  if (['Barrier', 'Event', 'Held', 'Mutex', 'RwLock', 'Semaphore'].includes(name)) return 'lock'
  return { ChildPipe: 'channel', Listener: 'channel', RingConsumer: 'ring', RingProducer: 'ring' }[name] ?? name.toLowerCase()
}

describe('native half', () => {
  it('is what its generated types say', () => {
    const rooms = readdirSync(here('../lib/native')).map((file) => readFileSync(here(`../lib/native/${file}`), 'utf8'))
    const generated = rooms.join('\n')
    const said = [...generated.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name)
    assert.deepEqual(said.sort(), Object.keys(native).sort(), 'run `npm run build`')
    for (const [name, value] of Object.entries(native)) {
      const start = generated.search(new RegExp(`^export class ${name} `, 'm'))
      if (start < 0) continue
      const body = generated.slice(start, generated.indexOf('\n}', start))
      const members = [...body.matchAll(/^ {2}(?:static )?(\w+)\(/gm)].map(([, member]) => member)
      const has = [...Object.getOwnPropertyNames(value.prototype), ...Object.getOwnPropertyNames(value)]
      const own = has.filter((member) => !['length', 'name', 'prototype', 'arguments', 'caller'].includes(member))
      if (members.includes('name')) own.push('name')
      const constructible = members.includes('constructor')
      const real = new Set(own.filter((member) => member !== 'constructor' || constructible))
      assert.deepEqual([...new Set(members)].sort(), [...real].sort(), name)
    }
  })

  it('has only what the facade uses', () => {
    const files = readdirSync(here('../lib')).filter((file) => file.endsWith('.js')).map((file) => `../lib/${file}`)
    const facade = [...files, '../bin/axonic.js'].map((file) => readFileSync(here(file), 'utf8')).join('\n')
    const forTests = new Set(['alwaysCopy'])
    for (const [name, value] of Object.entries(native)) {
      const members = Object.getOwnPropertyNames(value.prototype ?? {}).filter((member) => member !== 'constructor')
      // Classes are mostly made by the domain; their members say whether they are used.
      for (const used of members.length > 0 ? members : [name]) {
        const pattern = new RegExp(`\\.${used}\\b|'${used}'`)
        assert.ok(forTests.has(used) || name === 'Scratch' || pattern.test(facade), `nobody uses ${name}.${used}`)
      }
    }
  })
})
