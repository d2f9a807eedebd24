// Opens one of everything, waits once on each, and leaves: idle handles must not keep the process.

import { WaitSet, open } from '../../index.mjs'

const ax = open('idle')
const sub = ax.subscriber('t')
const pub = ax.publisher('t', { overflow: 'block', capacity: 65_536 })
const ring = ax.ringConsumer('r')
const queue = ax.queue('q', { capacity: 1 })
const { ticket } = queue.put('job', { result: true })
const set = new WaitSet().add(sub)
const waits = [
  sub.receive({ timeout: 10 }),
  ring.pop({ timeout: 10 }),
  set.wait({ timeout: 10 }),
  ticket.result({ timeout: 10 }),
  queue.putAsync('no room', { timeout: 10 }),
  queue.sync(),
  (async () => {
    for (let i = 0; i < 1000; i++) await pub.publishAsync(Buffer.alloc(1000), { timeout: 10 })
  })()
]
await Promise.allSettled(waits)
queue.tryGet().ack('done')
await ticket.result()
await queue.get({ timeout: 10 }).catch(() => {})
globalThis.kept = [ax, sub, pub, ring, queue, ticket, set]
console.log('idle')
if (process.argv[2] === 'exit') process.exit(0)
