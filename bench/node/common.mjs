// What the Node subjects share: `node script subject case exchanges messages`, one JSON line per result. The method is
// that of bench/src/measure.rs: two pinned processes, exchanges timed one by one after a tenth of them to warm up,
// rates timed by the receiver in the middle of a longer stream.
//
// The other half is the same script once more, as a child on core 1. The driver has put this process on core 0.
// Parent and child talk through Node's own channel before and after what is timed.
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const SMALL = 64
export const LARGE = 65536
export const MIB = 1 << 20

const [, script, subject, name, exchangesAsked, messagesAsked] = process.argv
export { subject, name }
export const isChild = process.send !== undefined && process.env.AXONIC_BENCH_HALF === 'child'
// What names of topics and sockets begin with: both halves know the parent's number.
export const tag = `node-${isChild ? process.ppid : process.pid}`
export const folder = process.env.AXONIC_RUNTIME_DIR
const effort = { exchanges: Number(exchangesAsked), messages: Number(messagesAsked) }

export const spinning = (size) => Math.floor(size > 4096 ? effort.exchanges / 50 : effort.exchanges)
export const sleeping = () => Math.floor(effort.exchanges / 10)
/** The same for what takes `times` as long. */
export const fewer = (times, n) => Math.floor(n / times)
export const warm = (n) => Math.floor(n / 10)

/** The receiver takes margin + timed + margin messages and times the middle ones. */
export function streamOf (size) {
  const timed = Math.max(200, Math.floor(effort.messages * 256 / Math.max(size, 256)))
  const margin = Math.max(80, Math.floor(timed / 4))
  const part = Math.max(10, Math.min(Math.floor(timed / 20), Math.floor(5000 * 256 / Math.max(size, 256))))
  return { margin, timed, part, all: timed + 2 * margin }
}

const now = () => performance.now() * 1e6

export function tell (size, metric, unit, values) {
  const sorted = Float64Array.from(values).sort()
  const at = (part) => sorted[Math.ceil(sorted.length * part) - 1]
  console.log(JSON.stringify({ size, metric, unit, p50: at(0.5), p99: at(0.99), p999: at(0.999) }))
}

export function rates (size, perSecond, metric = 'rate') {
  tell(size, metric, 'msgs_per_s', [perSecond])
  if (size >= 4096) tell(size, metric, 'bytes_per_s', [perSecond * size])
}

export function skip (why) {
  console.log(JSON.stringify({ skipped: why }))
  process.exit(0)
}

/** `exchange` is called and timed `n` times; nanoseconds, divided by `parts`. */
export function exchanges (n, exchange, parts = 1) {
  for (let i = 0; i < warm(n); i++) exchange(i)
  const nanos = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const started = now()
    exchange(i)
    nanos[i] = (now() - started) / parts
  }
  return nanos
}

/** The same with an exchange that is awaited. */
export async function exchangesAsync (n, exchange) {
  for (let i = 0; i < warm(n); i++) await exchange()
  const nanos = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const started = now()
    await exchange()
    nanos[i] = now() - started
  }
  return nanos
}

/** The rate of a stream whose arrivals are counted: the median of the rates of parts of its timed middle. */
export class Meter {
  #stream
  #count = 0
  #next
  #since
  #rates = []

  constructor (stream) {
    this.#stream = stream
    this.#next = stream.margin
  }

  /** `count` more messages arrived; answers whether they were the last. */
  add (count) {
    this.#count += count
    if (this.#count >= this.#next) this.#part()
    return this.#count >= this.#stream.all
  }

  #part () {
    const at = { time: now(), count: this.#count }
    if (this.#since) this.#rates.push((at.count - this.#since.count) / (at.time - this.#since.time) * 1e9)
    this.#since = at
    const next = at.count + this.#stream.part
    this.#next = next <= this.#stream.margin + this.#stream.timed ? next : Infinity
  }

  get rate () {
    return this.#rates.sort((a, b) => a - b)[this.#rates.length >> 1]
  }
}

/** Means of batches of calls. */
export function calls (call) {
  return Array.from({ length: Math.floor(effort.exchanges / 100) }, () => {
    const started = now()
    for (let i = 0; i < 1000; i++) call()
    return (now() - started) / 1000
  })
}

/** Times `open` so many times; each is passed its number. */
export function opens (open) {
  return Array.from({ length: 20 }, (_, i) => {
    const started = now()
    const close = open(i)
    const taken = now() - started
    close()
    return taken
  })
}

/** What npm has of this name, from target/bench/node; `cannot` is told why there is nothing. */
export function packageOf (name, cannot) {
  const installed = path.join(process.env.AXONIC_BENCH_BUILT ?? 'target/bench', 'node', 'package.json')
  try {
    return createRequire(path.resolve(installed))(name)
  } catch (error) {
    return cannot(error.message.split('\n')[0])
  }
}

/** What gRPC calls its method. */
export const METHOD = '/bench.Echo/Echo'

/** A gRPC service that answers what it is given. */
export async function grpcServer (grpc, at, { encode, decode }) {
  const method = {
    path: METHOD,
    requestStream: false,
    responseStream: false,
    requestSerialize: encode,
    requestDeserialize: decode,
    responseSerialize: encode,
    responseDeserialize: decode
  }
  const server = new grpc.Server()
  server.addService({ echo: method }, { echo: (call, answer) => answer(null, call.request) })
  await new Promise((resolve, reject) => {
    server.bindAsync(at, grpc.ServerCredentials.createInsecure(), (error) => error ? reject(error) : resolve())
  })
}

export function jsonRpc (rpc, from, to) {
  return rpc.createMessageConnection(new rpc.StreamMessageReader(from), new rpc.StreamMessageWriter(to))
}

/** The program and the first arguments by which Node runs on core 1. */
export function onCore1 () {
  return existsSync('/usr/bin/taskset') ? ['/usr/bin/taskset', '-c', '1', process.execPath] : [process.execPath]
}

const inbox = []
const readers = []
function hear (message) {
  if (message?.step === undefined) return
  const reader = readers.shift()
  if (reader) reader()
  else inbox.push(message)
}

let peer = isChild ? process : undefined
if (isChild) process.on('message', hear)

/** Parent only: starts the other half, the same case on core 1. */
export function startChild () {
  const [execPath, ...execArgv] = onCore1()
  peer = fork(script, process.argv.slice(2), {
    execPath,
    execArgv,
    serialization: 'advanced',
    env: { ...process.env, AXONIC_BENCH_HALF: 'child' }
  })
  peer.on('message', hear)
  peer.on('exit', (code) => {
    if (code !== 0) {
      console.error(`the other half of ${fileURLToPath(import.meta.url)} failed`)
      process.exit(1)
    }
  })
  return peer
}

/** Both halves wait here for each other. */
export async function meet () {
  peer.send({ step: 1 })
  if (inbox.length > 0) inbox.shift()
  else await new Promise((resolve) => readers.push(resolve))
}

/** Ends this half once the other has come as far. */
export async function end () {
  await meet()
  // The message to the other half must be on its way.
  setTimeout(() => process.exit(0), 20)
}
