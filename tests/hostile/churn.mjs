// The Node peer of the live fuzzer; churn.rs tells what it does.
//
//     churn.mjs <domain> <milliseconds> <drop_oldest|block|reject>

import { AxonicError, open } from '../../bindings-node/index.mjs'

const SOON = { timeout: 2 }
const UNFAIR = ['InvalidArgument', 'InvalidName', 'Forked', 'Unsupported']
const SIZES = [10, 2000, 5000, 40_000]
const OVERFLOW = { drop_oldest: 'dropOldest', block: 'block', reject: 'reject' }

let calls = 0
let errors = 0
let sum = 0

/** What a call answers, or null; no damage may look like a mistake of the caller. */
async function fair (call) {
  calls += 1
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof AxonicError) || UNFAIR.includes(error.kind)) throw error
    errors += 1
    return null
  }
}

const touch = (bytes) => { for (let i = 0; i < bytes.length; i += 64) sum += bytes[i] }

async function topics (ax, overflow) {
  const pub = await fair(() => ax.publisher('t', { overflow, capacity: 64 << 10, maxBytes: 256 << 10 }))
  const sub = await fair(() => ax.subscriber('t', { start: 'oldest', maxBorrowed: 4 }))
  for (let i = 0; i < 100; i++) {
    if (pub) await fair(() => pub.publishAsync(new Uint8Array(SIZES[i % 4]), SOON))
    if (sub && i % 2 === 0) await fair(() => sub.borrow(({ array }) => touch(array), SOON))
    else if (sub) await fair(async () => (await sub.receive(SOON)).attributes)
  }
  sub?.close()
  pub?.close()
}

async function ring (ax) {
  const producer = await fair(() => ax.ringProducer('r', { capacity: 10_000 }))
  const consumer = await fair(() => ax.ringConsumer('r', { capacity: 10_000 }))
  for (let i = 0; i < 30; i++) {
    if (producer) await fair(() => producer.pushAsync(new Uint8Array(i * 300), SOON))
    if (consumer) await fair(() => consumer.pop(SOON))
  }
  producer?.close()
  consumer?.close()
}

async function settle (job, i) {
  touch(job.data)
  await fair(() => job.attributes)
  await fair(() => job.progress(0.5))
  if (i % 6 === 0) await fair(() => job.nack({ delay: 0.1 }))
  else if (i % 6 === 1) await fair(() => job.reject('no good'))
  else if (i % 6 === 2) await fair(() => job.extend(0.1))
  else if (i % 6 === 3) await fair(() => job.ack(new Uint8Array(1000)))
  else if (i % 6 === 5) await fair(() => job.ackAsync(undefined, SOON))
}

async function jobs (ax, name, options) {
  const queue = await fair(() => ax.queue(name, { capacity: 64, maxBytes: 64 << 10, ...options }))
  if (!queue) return
  for (let i = 0; i < 30; i++) {
    const how = { ...SOON, priority: i % 8, delay: i % 3 === 2 ? 0.5 : 0, result: i % 7 === 0 }
    if (i % 5 === 0) how.dedupId = `${i}`
    const receipt = await fair(() => queue.putAsync(new Uint8Array([10, 129, 3000, 20_000][i % 4]), how))
    if (receipt?.ticket) await fair(() => receipt.ticket.result(SOON))
    const job = await fair(() => queue.get({ ...SOON, ...(i % 3 === 0 ? { lease: 0.2 } : {}) }))
    if (job) await settle(job, i)
  }
  await fair(() => queue.peek(100))
  await fair(() => queue.deadLetters(100))
  await fair(() => queue.redrive(3))
  await fair(() => queue.purge())
  await fair(() => queue.purge({ dead: true }))
  await fair(() => queue.sync(SOON))
  await fair(() => queue.stats())
  queue.close()
}

/** The same as fair() for what a file says that it is: that is not the caller's mistake. */
async function opened (call) {
  try {
    return await fair(call)
  } catch (error) {
    if (error.kind !== 'InvalidArgument') throw error
    return null
  }
}

/** What is given back may be somebody else's by then, as far as its memory tells. */
function released (held) {
  try {
    held?.release()
  } catch (error) {
    if (!(error instanceof AxonicError)) throw error
  }
}

async function locks (ax) {
  const mutex = await opened(() => ax.mutex('m'))
  const rwlock = await opened(() => ax.rwlock('w'))
  const semaphore = await opened(() => ax.semaphore('s', 2))
  const event = await opened(() => ax.event('e', { autoReset: true }))
  const barrier = await opened(() => ax.barrier('b', 2))
  for (let i = 0; i < 10; i++) {
    if (mutex) released(await fair(() => mutex.acquire(SOON)))
    if (rwlock) released(await fair(() => i % 2 === 0 ? rwlock.read(SOON) : rwlock.write(SOON)))
    if (semaphore) released(await fair(() => semaphore.acquire(SOON)))
    if (event) await fair(() => event.wait(SOON))
    if (event) await fair(() => event.set())
    if (barrier) await fair(() => barrier.wait(SOON))
  }
  for (const lock of [mutex, rwlock, semaphore, event, barrier]) lock?.close()
}

const [domain, milliseconds, overflow] = process.argv.slice(2)
const end = performance.now() + Number(milliseconds)
console.log('ready')
while (performance.now() < end) {
  const ax = await fair(() => open(domain))
  if (ax) {
    await topics(ax, OVERFLOW[overflow])
    await ring(ax)
    await jobs(ax, 'q', {})
    await jobs(ax, 'd', { durable: true, fsync: 'never' })
    await locks(ax)
    ax.close()
  }
}
console.log(`ok ${calls} ${errors}`)
