'use strict'

const native = require('./native.js')
const { COUNT, DESCRIPTOR, check } = require('./check.js')
const { invalid } = require('./error.js')
const internal = require('./internal.js')

class Region {
  #native
  /** @type {Buffer | null} */
  #buffer = null
  #closed = false

  /**
   * Made by `domain.region`, `sealedRegion` and `regionFromFd`.
   *
   * @param {import('./native.js').Region} native
   */
  constructor (native) {
    this.#native = native
    this.name = native.name()
    this.size = native.size()
    this.created = native.isCreated()
    this.writable = native.writable()
  }

  get closed () {
    return this.#closed
  }

  /** The memory itself; it stays mapped for as long as this Buffer or a slice of it is in use. */
  get buffer () {
    if (this.#buffer === null || this.#closed) this.#buffer = Buffer.from(this.#native.memory())
    return this.#buffer
  }

  /** The descriptor of a sealed region. */
  get fd () {
    return this.#native.fd()
  }

  /** A copy of `length` bytes at `offset`. */
  read (offset = 0, length) {
    check('offset', offset, COUNT)
    if (length === undefined) length = Math.max(this.size - offset, 0)
    check('length', length, COUNT)
    if (length > this.size) {
      throw invalid(`region '${this.name}' has ${this.size} bytes; it has no ${length} at ${offset}`)
    }
    const target = Buffer.allocUnsafe(length)
    this.#native.read(offset, target)
    return target
  }

  /** Copies `data` to `offset`. */
  write (offset, data) {
    check('offset', offset, COUNT)
    if (!ArrayBuffer.isView(data)) throw invalid('data must be a Buffer or typed array')
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.#native.write(offset, bytes)
  }

  close () {
    this.#closed = true
    this.#buffer = null
    this.#native.close()
  }
}

function sealedRegion (data) {
  if (!ArrayBuffer.isView(data)) throw invalid('data must be a Buffer or typed array')
  return new Region(native.Region.sealed(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)))
}

function regionFromFd (fd) {
  check('the descriptor', fd, DESCRIPTOR)
  return new Region(native.Region.fromFd(fd))
}

internal.disposable(Region)
internal.inspectable(Region, ({ name, size, created, writable, closed }) => ({ name, size, created, writable, closed }))

module.exports = { Region, regionFromFd, sealedRegion }
