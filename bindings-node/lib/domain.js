'use strict'

const { basename } = require('node:path')
const native = require('./native.js')
const { ChildPipe, Channel, Listener, connect } = require('./channel.js')
const { COUNT, TEXT, check, checkOptions } = require('./check.js')
const { Client, withMethods } = require('./client.js')
const { AxonicError, checked, invalid } = require('./error.js')
const internal = require('./internal.js')
const { deliver } = require('./log.js')
const { ABANDON, Channels } = internal
const { Barrier, Event, Mutex, RwLock, Semaphore } = require('./lock.js')
const { Publisher } = require('./publisher.js')
const { Queue } = require('./queue.js')
const { Region } = require('./region.js')
const { RingConsumer, RingProducer } = require('./ring.js')
const { Service, checkMethods } = require('./service.js')
const { Subscriber } = require('./subscriber.js')

/** Open domains of this thread, held weakly: what is collected closes itself. */
const open = new Set()

/** `process.exit()` runs no finalizers: without this, peers would wait for the kernel to tell. */
function closeAll () {
  for (const reference of open) reference.deref()?.close()
  deliver()
}

class Domain {
  #native
  /** What of this domain somebody waits on. */
  #busy = new Set()
  /** Open ring ends, queues, services and clients: closed with the domain. */
  #ends = new Set()
  #channels = new Channels()
  /** Open locks, of each type by name: whoever asks for one again gets the same. */
  #locks = { mutex: new Map(), rwlock: new Map(), semaphore: new Map(), event: new Map(), barrier: new Map() }
  /** For what opens more. */
  #place = { busy: this.#busy, ends: this.#ends, channels: this.#channels }
  #reference = new WeakRef(this)

  /** Made by `open`. */
  constructor (settings) {
    this.#native = native.Domain.open(settings, internal.getScratch().native)
    this.name = this.#native.name()
    this.path = this.#native.path()
    this.participant = this.#native.participant()
    if (open.size === 0) process.on('exit', closeAll)
    open.add(this.#reference)
    collected.register(this, this.#reference, this.#reference)
  }

  get closed () {
    return this.#native.isClosed()
  }

  publisher (topic, options = {}) {
    return new Publisher(this.#open('publisher', topic, options), topic, this.#busy)
  }

  subscriber (pattern, options = {}) {
    return new Subscriber(this.#open('subscriber', pattern, options), pattern, this.#busy, options.signal)
  }

  region (name, options = {}) {
    return new Region(this.#open('region', name, options))
  }

  ringProducer (name, options = {}) {
    return new RingProducer(this.#open('ringProducer', name, options), name, this.#busy, this.#ends)
  }

  ringConsumer (name, options = {}) {
    return new RingConsumer(this.#open('ringConsumer', name, options), name, this.#busy, this.#ends)
  }

  queue (name, options = {}) {
    return new Queue(this.#open('queue', name, options), name, options.schema !== undefined, this.#busy, this.#ends)
  }

  listen (address, options = {}) {
    check('the address', address, TEXT)
    return new Listener(this.#open('listen', address, options), this.#place)
  }

  async connect (address, options = {}) {
    check('the address', address, TEXT)
    checkOptions(options)
    return connect(this.#native, address, options, this.#place)
  }

  pipe (options = {}) {
    checkOptions(options)
    const pipe = checked('pipe', () => this.#native.pipe(options))
    return [new Channel(pipe.channel(), this.#place), new ChildPipe(pipe.child())]
  }

  service (name, version, methods, options = {}) {
    check('the version of a service', version, TEXT)
    checkMethods(methods)
    const native = this.#open('service', name, options, version, Object.keys(methods))
    return new Service(native, name, methods, this.#ends)
  }

  client (name, range = '*', options = {}) {
    check('the range of versions', range, TEXT)
    return withMethods(new Client(this.#open('client', name, options, range), name, this.#place))
  }

  mutex (name, options) {
    return this.#lock(Mutex, 'mutex', name, options)
  }

  rwlock (name, options) {
    return this.#lock(RwLock, 'rwlock', name, options)
  }

  semaphore (name, permits, options) {
    check('permits', permits, COUNT)
    return this.#lock(Semaphore, 'semaphore', name, options, permits)
  }

  event (name, options) {
    return this.#lock(Event, 'event', name, options, options?.autoReset ?? false)
  }

  barrier (name, parties, options) {
    check('parties', parties, COUNT)
    return this.#lock(Barrier, 'barrier', name, options, parties)
  }

  lockHolders (name) {
    check('the name of a lock', name, TEXT)
    return this.#native.lockHolders(name).map(({ pid, label, since, alive, stopped, role }) => {
      return Object.freeze({ pid, label, since: since ?? null, alive, stopped, role })
    })
  }

  unlink (noun, name) {
    check('the noun', noun, TEXT)
    check(`the name of a ${noun}`, name, TEXT)
    this.#native.unlink(noun, name)
  }

  close () {
    if (this.closed) return
    const error = new AxonicError('Closed', `domain '${this.name}' was closed while somebody waited in it`)
    for (const waiters of this.#busy) waiters.close(error)
    for (const end of this.#ends) end[ABANDON]()
    this.#channels.close()
    for (const named of Object.values(this.#locks)) {
      for (const { lock } of named.values()) lock.close()
    }
    this.#native.close()
    forget(this.#reference)
    collected.unregister(this.#reference)
  }

  #open (what, name, options, ...parameters) {
    check(`the name of a ${what}`, name, TEXT)
    if (typeof options !== 'object' || options === null) throw invalid(`the options of a ${what} must be an object`)
    checkOptions(options)
    checkOptions(options.dedup, 'dedup.')
    return checked(what, () => this.#native[what](name, ...parameters, settings(options)))
  }

  #lock (Class, noun, name, options = {}, ...parameters) {
    const named = this.#locks[noun]
    const [parameter] = parameters
    const found = named.get(name)
    // With another parameter the core says what is wrong.
    if (found !== undefined && found.parameter === parameter) return found.lock
    const place = { busy: this.#busy, ended: () => named.delete(name) }
    const lock = new Class(this.#open(noun, name, options, ...parameters), name, place, parameter)
    named.set(name, { lock, parameter })
    return lock
  }
}

/** Options as the native half takes them: a schema is JSON text. */
function settings (options) {
  const { schema } = options
  return typeof schema === 'object' && schema !== null ? { ...options, schema: JSON.stringify(schema) } : options
}

function forget (reference) {
  open.delete(reference)
  if (open.size === 0) process.removeListener('exit', closeAll)
}

const collected = new FinalizationRegistry(forget)

internal.disposable(Domain)
internal.inspectable(Domain, ({ name, path, participant, closed }) => ({ name, path, participant, closed }))

/** Attaches to a domain: by name, by `AXONIC_DOMAIN`, or to `default`. */
function openDomain (name, options) {
  if (typeof name === 'object' && name !== null && options === undefined) [name, options] = [undefined, name]
  if (name !== undefined && name !== null) check('the name of a domain', name, TEXT)
  checkOptions(options)
  const label = basename(process.argv[1] ?? process.title)
  return checked('open', () => new Domain({ label, ...options, name }))
}

module.exports = { Domain, open: openDomain }
