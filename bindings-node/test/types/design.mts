// The lines in which domain, topics and locks explain themselves in TypeScript, with a value for everything they name.
// `npx tsc` checks the types; `types.test.mjs` compiles this to ES2022 and runs it.

import { open } from 'axonic'
import type { Message } from 'axonic'

interface Order { id: number }

const seen: unknown[] = []
const render = (array: Uint8Array): void => { array.fill(7) }
const draw = (array: ArrayLike<number | bigint>): void => { seen.push(array.length) }

async function lines (): Promise<void> {
  using ax = open('demo')
  const sub = ax.subscriber<Order>('orders.created')
  const camera = ax.subscriber('camera')

  const pub = ax.publisher<Order>('orders.created')
  pub.publish({ id: 1 })
  const data: Order = { id: 2 }
  const { signal } = new AbortController()
  const timeout = 1000
  await pub.publishAsync(data, { signal, timeout })

  const frames = ax.publisher('camera')
  frames.loan({ shape: [480, 640, 3], dtype: 'uint8' }, a => render(a)); camera.borrow(m => draw(m.array))

  const message: Message<Order> = await sub.receive({ timeout: 1000 })
  seen.push(message.value.id)
  const next: Message<Order> | null = sub.tryReceive()
  seen.push(next?.value.id, sub.tryReceive())

  const stop = new AbortController()
  const later = (async () => {
    for await (const m of ax.subscriber<Order>('orders.>', { signal: stop.signal })) {
      seen.push(m.value.id)
      stop.abort('seen enough')
    }
  })()
  pub.publish({ id: 3 })
  await later.catch((reason: unknown) => seen.push(reason))
}

async function disposed (): Promise<void> {
  await using ax = open('demo')
  using region = ax.region('disposed', { size: 16 })
  using producer = ax.ringProducer('disposed')
  using consumer = ax.ringConsumer('disposed')
  producer.push(region.buffer.subarray(0, 2))
  seen.push(consumer.tryPop()?.length)
  ax.unlink('region', 'disposed')
}

async function locked (): Promise<void> {
  using ax = open('demo')
  let ends = 0
  for (let i = 0; i < 5000; i++) {
    await using lock = await ax.mutex('gpu').acquire()
    ends += lock.ownerDied ? 2 : 1
  }
  seen.push(ends, ax.mutex('gpu').locked)
  using permit = ax.semaphore('seats', 1).tryAcquire()
  using none = ax.semaphore('seats', 1).tryAcquire()
  seen.push(permit?.ownerDied, none)
}

await lines()
await disposed()
await locked()
console.log(JSON.stringify(seen))
