// The Node side of the interop matrix; its arguments and output are those of every language (peers/rust/peer.rs).

import { setTimeout as sleep } from 'node:timers/promises'
import { AxonicError, errors, open } from '../../../bindings-node/index.mjs'
import { call, serve } from './calls.mjs'
import { connect, listen } from './channels.mjs'
import { consult, provide } from './crowd.mjs'
import { answer, ask, hurry, keep, put, spend, work } from './jobs.mjs'
import { count, meet, share } from './locks.mjs'
import { fill, matches } from './pattern.mjs'
import { bring, fetch } from './talk.mjs'

const PATIENCE = 20_000

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

/** The result of a message that is rejected. */
async function reject (queue) {
  const { ticket } = queue.put(Buffer.from('x'), { result: true })
  const job = await queue.get({ timeout: PATIENCE })
  job.reject('as agreed')
  await ticket.result({ timeout: PATIENCE })
}

/** An acknowledgement after the lease, once another has the message. */
async function lose (queue) {
  queue.put(Buffer.from('x'))
  const late = await queue.get({ timeout: PATIENCE, lease: 1 })
  const job = await queue.get({ timeout: PATIENCE })
  job.ack()
  late.ack()
}

async function provoke (domain) {
  const ax = open(domain)
  const sub = ax.subscriber('peer.silence')
  const small = ax.publisher('peer.small', { maxBytes: 1 << 20 })
  const first = ax.ringProducer('peer-ring')
  const other = open(domain)
  const late = other.publisher('peer.late')
  other.close()
  const mutex = ax.mutex('peer-lock')
  const full = ax.queue('peer-full', { capacity: 1 })
  full.put(Buffer.from('x'))
  const cases = {
    'invalid-name': () => ax.publisher('a/b'),
    'not-found': () => ax.region('peer-nothing', { create: 'open' }),
    timeout: () => sub.receive({ timeout: 1 }),
    'too-large': () => small.publish(Buffer.alloc(2 << 20)),
    closed: () => late.publish(Buffer.from('x')),
    busy: () => ax.ringProducer('peer-ring'),
    rejected: () => reject(ax.queue('peer-queue')),
    'lease-lost': () => lose(ax.queue('peer-queue')),
    full: () => full.put(Buffer.from('x')),
    'other-lock': () => ax.rwlock(mutex.name)
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

const queues = { put, work, ask, answer, keep, spend, hurry, bring, fetch }
const others = { count, share, meet, listen, connect, serve, call, provide, consult }
const verbs = { send, recv, ...queues, ...others, errors: table, raise: provoke }
const [verb, ...args] = process.argv.slice(2)
try {
  process.exitCode = await verbs[verb](...args)
} catch (error) {
  console.log(`bad ${error.message}`)
  process.exitCode = 1
}
