// Builds the native half, puts it beside the facade, and writes `lib/native.d.ts` and `lib/native/`, its types as
// the facade sees them: `npm run build` (`-- --debug` while developing).

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const debug = process.argv.includes('--debug')
const metadata = execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { cwd: root, maxBuffer: 1 << 28 })
const { target_directory: target } = JSON.parse(metadata)

// napi-derive writes down what it exports while it expands; touched, so that it does expand.
const notes = `${target}/node-types`
rmSync(notes, { recursive: true, force: true })
mkdirSync(notes, { recursive: true })
execFileSync('touch', [`${root}bindings-node/src/lib.rs`])
execFileSync('cargo', ['build', '--package', 'axonic-node', ...(debug ? [] : ['--release'])], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, NAPI_TYPE_DEF_TMP_FOLDER: notes }
})
declare(readFileSync(`${notes}/axonic-node`, 'utf8'))

// Renamed into place: a process that has the old one loaded keeps it.
const place = `${root}bindings-node/axonic.node`
copyFileSync(`${target}/${debug ? 'debug' : 'release'}/libaxonic_node.so`, `${place}.new`)
renameSync(`${place}.new`, place)

/** Writes TypeScript from napi-derive's notes, which are one JSON object a line, in no order: a file for each of the crate. */
function declare (text) {
  const lib = `${root}bindings-node/lib`
  const heading = '// Written by scripts/build.mjs from the crate; do not edit.\n\n'
  rmSync(`${lib}/native`, { recursive: true, force: true })
  mkdirSync(`${lib}/native`)
  const items = declarations(text)
  const rooms = [...new Set([...items.values()].map(({ room }) => room))].sort()
  for (const room of rooms) {
    const own = [...items.values()].filter((item) => item.room === room).map(({ text }) => text).join('\n')
    writeFileSync(`${lib}/native/${room}.d.ts`, heading + imports(own, room, items) + own)
  }
  writeFileSync(`${lib}/native.d.ts`, heading + rooms.map((room) => `export * from './native/${room}.js'\n`).join(''))
}

/** By its name, the declaration of each item and the file of the crate that it is from. */
function declarations (text) {
  const items = text.trim().split('\n').map((line) => JSON.parse(line))
  const bodies = new Map()
  for (const { name, def } of items.filter((item) => item.kind === 'impl')) {
    bodies.set(name, [bodies.get(name), def].filter(Boolean).join('\n'))
  }
  const block = (name, keyword, body) => `export ${keyword} ${name} {\n${indent(body)}}\n`
  const written = ({ kind, name, js_doc: doc = '', def }) => {
    if (kind === 'fn') return `${doc}export ${def}\n`
    if (kind === 'interface') return doc + block(name, 'interface', def)
    return doc + block(name, 'class', bodies.get(name) ?? '')
  }
  const from = origins()
  const exported = items.filter(({ kind }) => kind !== 'impl').sort(({ name: a }, { name: b }) => (a < b ? -1 : 1))
  return new Map(exported.map((item) => {
    return [item.name, { room: from.get(item.original_name ?? item.name), text: written(item) }]
  }))
}

/** Which file of the crate exports what; functions by their names in JavaScript. */
function origins () {
  const source = `${root}bindings-node/src`
  const origins = new Map()
  for (const file of readdirSync(source, { recursive: true }).filter((file) => file.endsWith('.rs'))) {
    const room = file.split('/')[0].replace('.rs', '')
    const exported = /^#\[napi\b.*\n(?:#\[.*\n)*pub (?:struct|fn) (\w+)/gm
    for (const [, name] of readFileSync(`${source}/${file}`, 'utf8').matchAll(exported)) {
      origins.set(name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()), room)
    }
  }
  return origins
}

/** What a file needs of the others. */
function imports (text, here, items) {
  const code = text.replace(/\/\*\*.*?\*\//gs, '')
  const used = new Map()
  for (const [name, { room }] of items) {
    if (room !== here && new RegExp(`\\b${name}\\b`).test(code)) used.set(room, [...(used.get(room) ?? []), name])
  }
  const lines = [...used].sort().map(([room, names]) => `import type { ${names.join(', ')} } from './${room}.js'\n`)
  return lines.length > 0 ? `${lines.join('')}\n` : ''
}

function indent (body) {
  return body.split('\n').filter(Boolean).map((line) => `  ${line.trim()}\n`).join('')
}
