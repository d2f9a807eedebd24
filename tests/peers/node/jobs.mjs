// What the Node peer does with queues.

import { setTimeout as sleep } from 'node:timers/promises'
import { AxonicError, open } from '../../../bindings-node/index.mjs'
import { fill } from './pattern.mjs'

const PATIENCE = 20_000
// A worker that got nothing for so long is done.
const IDLE = 1000
// Every second message is taken for this long only.
const LEASE = 2000

/** Message k: its number, then bytes as in topics: one in three is in its slot, one in some parts and one in many. */
export function message (k, size) {
  const data = Buffer.allocUnsafe(size * [1, 10, 300][k % 3])
  fill(data, k)
  data.writeBigUInt64LE(BigInt(k))
  return data
}

/** The number of a message, every byte of which must be as it should be. */
export function numberIn (data) {
  const k = data.length < 8 ? 0 : Number(data.readBigUInt64LE())
  const wanted = Buffer.allocUnsafe(data.length)
  fill(wanted, k)
  if (data.length < 8 || wanted.compare(data, 8, data.length, 8) !== 0) {
    throw new Error(`message ${k} of ${data.length} bytes is torn`)
  }
  return k
}

const is = (error, kind) => error instanceof AxonicError && error.kind === kind

export async function put (domain, queue, first, count, size) {
  const ax = open(domain)
  const to = ax.queue(queue)
  for (let k = Number(first); k < Number(first) + Number(count); k++) {
    await to.putAsync(message(k, Number(size)), { priority: k % 3, timeout: PATIENCE })
    console.log(`put ${k}`)
  }
  ax.close()
  console.log(`sent ${count}`)
  return 0
}

/** Gives some back once, rejects others, acknowledges the rest, and tells. */
function settle (job) {
  const k = numberIn(job.data)
  console.log(`take ${k} ${job.attempt}`)
  let outcome = 'ack'
  try {
    if (job.attempt === 1 && k % 5 === 3) {
      outcome = 'back'
      job.nack()
    } else if (k % 11 === 7) {
      outcome = 'dead'
      job.reject('as agreed')
    } else {
      job.ack()
    }
  } catch (error) {
    if (!is(error, 'LeaseLost')) throw error
    outcome = 'lost'
  }
  console.log(`${outcome} ${k}`)
}

export async function work (domain, queue) {
  const ax = open(domain)
  const from = ax.queue(queue)
  for (let done = 0; ; done++) {
    try {
      settle(await from.get({ timeout: IDLE, ...(done % 2 === 1 ? { lease: LEASE } : {}) }))
    } catch (error) {
      if (!is(error, 'Timeout')) throw error
      console.log(`done ${done}`)
      break
    }
  }
  ax.close()
  return 0
}

export async function ask (domain, queue, count) {
  const ax = open(domain)
  const to = ax.queue(queue)
  const asked = Array.from({ length: Number(count) }, (_, k) => message(k, 64))
  const receipts = await Promise.all(asked.map((data) => to.putAsync(data, { result: true, timeout: PATIENCE })))
  for (const [k, data] of asked.entries()) {
    const result = await receipts[k].ticket.result({ timeout: PATIENCE })
    if (!data.reverse().equals(result)) throw new Error(`the result of message ${k} is not its reverse`)
  }
  ax.close()
  console.log(`asked ${count}`)
  return 0
}

export async function answer (domain, queue, count) {
  const ax = open(domain)
  const from = ax.queue(queue)
  for (let n = 0; n < Number(count); n++) {
    const job = await from.get({ timeout: PATIENCE })
    numberIn(job.data)
    job.ack(Buffer.from(job.data).reverse())
  }
  ax.close()
  console.log(`answered ${count}`)
  return 0
}

export async function keep (domain, queue, count) {
  const ax = open(domain)
  const to = ax.queue(queue, { durable: true, fsync: 'never' })
  for (let k = 0; k < Number(count); k++) {
    await to.putAsync(message(k, 64), { durable: true, timeout: PATIENCE })
  }
  console.log(`kept ${count}`)
  await sleep(PATIENCE)
  ax.close()
  return 0
}

export async function hurry (domain, queue) {
  const ax = open(domain)
  const to = ax.queue(queue, { durable: true, fsync: 'never' })
  try {
    await to.putAsync(message(0, 64), { durable: true, timeout: 10 })
    console.log('nothing')
  } catch (error) {
    console.log(error instanceof AxonicError ? error.kind : error)
  }
  ax.close()
  return 0
}

export async function spend (domain, queue, count) {
  const ax = open(domain)
  const from = ax.queue(queue, { durable: true, fsync: 'never' })
  // All are taken before one is given back.
  const jobs = []
  while (jobs.length < Number(count)) jobs.push(await from.get({ timeout: PATIENCE }))
  for (const job of jobs) {
    if (numberIn(job.data) % 2 === 0) await job.ackAsync(undefined, { durable: true })
    else job.nack()
  }
  ax.close()
  console.log(`spent ${count}`)
  return 0
}
