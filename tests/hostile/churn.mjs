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

const [domain, milliseconds, overflow] = process.argv.slice(2)
const end = performance.now() + Number(milliseconds)
console.log('ready')
while (performance.now() < end) {
  const ax = await fair(() => open(domain))
  if (ax) {
    await topics(ax, OVERFLOW[overflow])
    await ring(ax)
    ax.close()
  }
}
console.log(`ok ${calls} ${errors}`)
