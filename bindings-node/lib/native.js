'use strict'

// Loads the native half, or says in one sentence why it cannot.

const { platform, arch } = process

function load () {
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new Error(`axonic runs on Linux on x86-64 and aarch64 only; this is ${platform} on ${arch}`)
  }
  try {
    return require('../axonic.node')
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    throw new Error(
      'axonic: the native part (axonic.node) is missing; reinstall the package, or run `npm run build` in its sources',
      { cause: error }
    )
  }
}

module.exports = load()
