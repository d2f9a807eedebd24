// Opens one of everything, waits once on each, and leaves: idle handles must not keep the process.

import { WaitSet, open } from '../../index.mjs'

const ax = open('idle')
const sub = ax.subscriber('t')
const pub = ax.publisher('t', { overflow: 'block', capacity: 65_536 })
const ring = ax.ringConsumer('r')
const queue = ax.queue('q', { capacity: 1 })
const { ticket } = queue.put('job', { result: true })
const mutex = ax.mutex('m')
const held = await mutex.acquire()
const event = ax.event('e')
const barrier = ax.barrier('b', 2)
const set = new WaitSet().add(sub)
const waits = [
  sub.receive({ timeout: 10 }),
  ring.pop({ timeout: 10 }),
  set.wait({ timeout: 10 }),
  ticket.result({ timeout: 10 }),
  queue.putAsync('no room', { timeout: 10 }),
  queue.sync(),
  mutex.acquire({ timeout: 10 }),
  event.wait({ timeout: 10 }),
  barrier.wait({ timeout: 10 }),
  (async () => {
    for (let i = 0; i < 1000; i++) await pub.publishAsync(Buffer.alloc(1000), { timeout: 10 })
  })()
]
await Promise.allSettled(waits)
queue.tryGet().ack('done')
await ticket.result()
held.release()
const again = await mutex.acquire()
await queue.get({ timeout: 10 }).catch(() => {})
globalThis.kept = [ax, sub, pub, ring, queue, ticket, again, event, barrier, set]
console.log('idle')
if (process.argv[2] === 'exit') process.exit(0)
