'use strict'

// Loads the native half: the one built beside this package in a checkout, else that of the package for
// this platform, which npm installs with this one. Or says in one sentence why it cannot.

const { existsSync, readFileSync } = require('node:fs')
const { join } = require('node:path')

const { platform, arch } = process

function load () {
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new Error(`axonic runs on Linux on x86-64 and aarch64 only; this is ${platform} on ${arch}`)
  }
  const local = join(__dirname, '../axonic.node')
  if (existsSync(local)) return require(local)
  const name = `@axonic/linux-${arch}-${libc()}`
  try {
    return require(name)
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    throw new Error(
      `axonic: the package ${name} is missing, which has the native part for this platform; ` +
        'install axonic again with optional dependencies on this machine (in a checkout: `npm run build`)',
      { cause: error }
    )
  }
}

/** The C library this process runs with: its loader is mapped, and musl's says so in its name. */
function libc () {
  return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-') ? 'musl' : 'gnu'
}

module.exports = load()
