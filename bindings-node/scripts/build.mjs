// Builds the native half, puts it beside the facade, and writes `lib/native.d.ts`, its types as the
// facade sees them: `npm run build` (`-- --debug` while developing).

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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
writeFileSync(`${root}bindings-node/lib/native.d.ts`, declarations(readFileSync(`${notes}/axonic-node`, 'utf8')))

// Renamed into place: a process that has the old one loaded keeps it.
const place = `${root}bindings-node/axonic.node`
copyFileSync(`${target}/${debug ? 'debug' : 'release'}/libaxonic_node.so`, `${place}.new`)
renameSync(`${place}.new`, place)

/** TypeScript from napi-derive's notes: one JSON object a line, in no order. */
function declarations (text) {
  const items = text.trim().split('\n').map((line) => JSON.parse(line))
  const bodies = new Map()
  for (const { kind, name, def } of items.filter((item) => item.kind === 'impl')) {
    bodies.set(name, [bodies.get(name), def].filter(Boolean).join('\n'))
  }
  const block = (name, keyword, body) => `export ${keyword} ${name} {\n${indent(body)}}\n`
  const written = items.filter(({ kind }) => kind !== 'impl').map(({ kind, name, js_doc: doc = '', def }) => {
    if (kind === 'fn') return [name, `${doc}export ${def}\n`]
    if (kind === 'interface') return [name, doc + block(name, 'interface', def)]
    return [name, doc + block(name, 'class', bodies.get(name) ?? '')]
  })
  written.sort(([a], [b]) => (a < b ? -1 : 1))
  return `// Written by scripts/build.mjs from the crate; do not edit.\n\n${written.map(([, text]) => text).join('\n')}`
}

function indent (body) {
  return body.split('\n').filter(Boolean).map((line) => `  ${line.trim()}\n`).join('')
}
