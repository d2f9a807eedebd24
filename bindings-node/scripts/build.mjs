// Builds the native half and puts it beside the facade: `npm run build` (`-- --debug` while developing).

import { execFileSync } from 'node:child_process'
import { copyFileSync, renameSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const debug = process.argv.includes('--debug')
execFileSync('cargo', ['build', '--package', 'axonic-node', ...(debug ? [] : ['--release'])], { cwd: root, stdio: 'inherit' })
const { target_directory: target } = JSON.parse(
  execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { cwd: root, maxBuffer: 1 << 28 })
)
// Renamed into place: a process that has the old one loaded keeps it.
const place = `${root}bindings-node/axonic.node`
copyFileSync(`${target}/${debug ? 'debug' : 'release'}/libaxonic_node.so`, `${place}.new`)
renameSync(`${place}.new`, place)
