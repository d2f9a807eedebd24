// The Node side of the interop matrix; every language's peer has this argv and stdout contract.
//
//     peer.mjs send <domain> <topic> <copy|loan> <sizes> <count>
//     peer.mjs recv <domain> <topic> <copy|borrow> <sizes> <count>
//     peer.mjs errors
//     peer.mjs raise <domain>
//
// Byte i of message k (k counts over all sizes) is (i*31 + k*7 + size) & 0xff.

import { setTimeout as sleep } from 'node:timers/promises'
import { AxonicError, errors, open } from '../../../bindings-node/index.mjs'

const PATIENCE = 20_000
// i*31 mod 256 repeats every 256 bytes, so a message is this turned by some steps and repeated:
// 31 * 223 == 1 (mod 256), hence the byte 223*c steps further is c larger.
const CHUNK = 1 << 20
const LONG = Buffer.from(Uint8Array.from({ length: CHUNK + 256 }, (_, i) => (i * 31) & 0xff))

/** The first bytes of message k, at most a chunk; the rest repeats them. */
function pattern (k, size) {
  const start = (((k * 7 + size) & 0xff) * 223) & 0xff
  return LONG.subarray(start, start + Math.min(size, CHUNK))
}

function fill (bytes, k) {
  const chunk = pattern(k, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) bytes.set(chunk.subarray(0, bytes.length - at), at)
}

function matches (bytes, k) {
  const chunk = pattern(k, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const end = Math.min(at + CHUNK, bytes.length)
    if (chunk.compare(bytes, at, end, 0, end - at) !== 0) return false
  }
  return true
}

/** The sum of bytes that match the pattern: whole periods are known, the rest is counted. */
function sum (bytes) {
  const periods = Math.floor(bytes.length / 256)
  let total = periods * 255 * 128
  for (let i = periods * 256; i < bytes.length; i++) total += bytes[i]
  return total
}

function * messages (sizes, count) {
  let k = 0
  for (const size of sizes.split(',').map(Number)) {
    for (let i = 0; i < Number(count); i++) yield [k++, size]
  }
}

async function send (domain, topic, mode, sizes, count) {
  const ax = open(domain)
  const pub = ax.publisher(topic, { overflow: 'block', maxBytes: 512 << 20 })
  await pub.waitForSubscribers(1, { timeout: 10_000 })
  let sent = 0
  for (const [k, size] of messages(sizes, count)) {
    if (mode === 'loan') {
      await pub.loanAsync(size, (array) => fill(array, k), { timeout: PATIENCE })
    } else {
      const bytes = Buffer.allocUnsafe(size)
      fill(bytes, k)
      await pub.publishAsync(bytes, { timeout: PATIENCE })
    }
    sent += 1
  }
  const end = performance.now() + PATIENCE
  while (pub.subscribers > 0 && performance.now() < end) await sleep(2)
  ax.close()
  console.log(`sent ${sent}`)
  return 0
}

async function recv (domain, topic, mode, sizes, count) {
  const ax = open(domain)
  const sub = ax.subscriber(topic)
  console.log('ready')
  let received = 0
  let total = 0
  for (const [k, size] of messages(sizes, count)) {
    const check = ({ data, missed }) => {
      if (missed !== 0) return `message ${k}: ${missed} missed before it`
      if (data.length !== size) return `message ${k}: ${data.length} bytes, expected ${size}`
      if (!matches(data, k)) return `message ${k}: ${size} bytes differ from the pattern`
      total += sum(data)
    }
    const wrong = mode === 'borrow'
      ? await sub.borrow(check, { timeout: PATIENCE })
      : check(await sub.receive({ timeout: PATIENCE }))
    if (wrong !== undefined) {
      console.log(`bad ${wrong}`)
      return 1
    }
    received += 1
  }
  ax.close()
  console.log(`ok ${received} ${total % 2 ** 32}`)
  return 0
}

function table () {
  for (const { number, name } of errors) console.log(`${number} ${name}`)
  return 0
}

async function provoke (domain) {
  const ax = open(domain)
  const sub = ax.subscriber('peer.silence')
  const small = ax.publisher('peer.small', { maxBytes: 1 << 20 })
  const first = ax.ringProducer('peer-ring')
  const other = open(domain)
  const late = other.publisher('peer.late')
  other.close()
  const cases = {
    'invalid-name': () => ax.publisher('a/b'),
    'not-found': () => ax.region('peer-nothing', { create: 'open' }),
    timeout: () => sub.receive({ timeout: 1 }),
    'too-large': () => small.publish(Buffer.alloc(2 << 20)),
    closed: () => late.publish(Buffer.from('x')),
    busy: () => ax.ringProducer('peer-ring')
  }
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run()
      console.log(`${name} nothing`)
    } catch (error) {
      console.log(`${name} ${error instanceof AxonicError ? error.kind : error}`)
    }
  }
  first.close()
  ax.close()
  return 0
}

const [verb, ...args] = process.argv.slice(2)
try {
  process.exitCode = await { send, recv, errors: table, raise: provoke }[verb](...args)
} catch (error) {
  console.log(`bad ${error.message}`)
  process.exitCode = 1
}
