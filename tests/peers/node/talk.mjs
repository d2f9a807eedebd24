// A conversation in which everything that queues can do occurs once.

import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../../../bindings-node/index.mjs'
import { message, numberIn } from './jobs.mjs'
import { must } from './locks.mjs'

const SIZE = 64
const HOUR = 3_600_000
const SOON = 100
// What its consumer says of message 3 while it has it.
const HALF = 0.5
const PATIENCE = 20_000

export async function bring (domain, queue) {
  const ax = open(domain)
  const to = ax.queue(queue)
  const put = (k, options) => to.putAsync(message(k, SIZE), { ...options, timeout: PATIENCE })
  const first = [0, 1, 2].map((k) => message(k, SIZE))
  await to.putMany(first, { timeout: PATIENCE })
  const { ticket } = await put(3, { priority: 2, result: true })
  await put(4, { ttl: 1 })
  const again = [await put(5, { dedupId: 'once' }), await put(9, { dedupId: 'once' })]
  await put(6, { delay: HOUR })
  await put(7, { delay: SOON })
  console.log(`brought ${first.length} ${again.map((receipt) => Number(receipt.duplicate)).join(' ')}`)
  const end = performance.now() + PATIENCE
  while (ticket.progress !== HALF && performance.now() < end) await sleep(1)
  await put(8, { priority: 7 })
  const result = await ticket.result({ timeout: PATIENCE })
  must(message(3, SIZE).reverse().equals(result), "the result is the message's reverse")
  ax.close()
  console.log('answered')
  return 0
}

function tell (what, seen) {
  console.log(`${what} ${seen.map(({ data }) => numberIn(data)).join(' ')}`)
}

function tellDead (letters) {
  const lines = letters.map(({ data, reason, reasonText }) => `dead ${numberIn(data)} ${reason} '${reasonText}'`)
  for (const line of lines.sort()) console.log(line)
}

export async function fetch (domain, queue) {
  const ax = open(domain)
  const from = ax.queue(queue)
  // The next message, which must be this one, delivered for the n-th time.
  const take = async (k, attempt) => {
    const job = await from.get({ timeout: PATIENCE })
    const told = `${numberIn(job.data)} ${job.attempt}`
    must(told === `${k} ${attempt}`, `message ${k} is next for time ${attempt}, it is ${told}`)
    return job
  }
  tell('peek', from.peek(5))
  const [asked, first, late] = await from.getMany(3, { timeout: PATIENCE, lease: PATIENCE })
  tell('many', [asked, first, late])
  first.ack()
  const two = await from.getMany(2, { timeout: PATIENCE })
  tell('many', two)
  two.forEach((job) => job.ack())
  ;(await take(7, 1)).ack()
  late.extend(SOON)
  const again = await take(1, 2)
  const given = performance.now()
  again.nack({ delay: SOON })
  ;(await take(1, 3)).reject('as agreed')
  must(performance.now() - given >= SOON, 'what is given back for later comes later')
  asked.progress(HALF)
  ;(await take(8, 1)).ack()
  tellDead(from.deadLetters(9))
  console.log(`redriven ${from.redrive(9)}`)
  ;(await take(1, 1)).ack()
  ;(await take(4, 1)).reject()
  const { ready, delayed, leased, dead, put } = from.stats()
  console.log(`stats ${ready} ${delayed} ${leased} ${dead} ${put}`)
  console.log(`purged ${from.purge()} ${from.purge({ dead: true })}`)
  asked.ack(Buffer.from(asked.data).reverse())
  ax.close()
  console.log('fetched')
  return 0
}
