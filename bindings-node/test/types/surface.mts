// What the types must accept, what they must know, and what they must refuse.

import axonic, { AxonicError, Reject, Status, WaitSet, errors, open, regionFromFd, sealedRegion, setLogger } from 'axonic'
import type {
  ArrayOf, Attributes, Barrier, BorrowedMessage, CallStatus, CallStream, Can, Channel, ChannelMessage, ChannelStats, ChildPipe, Client,
  Context, Domain, ErrorCode, Event, Held, Job, Listener, LockHolder, Message, Mutex, Peeked, Publisher,
  PublisherStats, Queue, QueueStats, QueueWorker, Receipt, Region, RingConsumer, RingProducer, RingStats, RwLock, Semaphore, Service,
  Shaped, Subscriber, SubscriberStats, TensorInfo, Ticket
} from 'axonic'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
function same<A, B> (_: Same<A, B>): void {}

interface Order { id: number, note?: string }

export async function surface (): Promise<void> {
  const ax: Domain = open('d', { runtimeDir: '/dev/shm/x', mode: 0o660, group: 5, maxParticipants: 10, label: 'me' })
  same<typeof axonic.open, typeof open>(true)
  open()
  open({ label: 'x' })
  // @ts-expect-error a name is text
  open(5)

  const pub = ax.publisher<Order>('t', { overflow: 'block', capacity: 1, maxBytes: 1, retain: true, wait: 'spin' })
  same<typeof pub, Publisher<Order>>(true)
  pub.publish({ id: 1 })
  pub.publish(Buffer.from('raw'))
  pub.publish(Float32Array.of(1))
  pub.publish({ data: Float32Array.of(1), shape: [1], dtype: 'float32' })
  pub.publish({ id: 1 }, { attributes: { type: 'x' }, content: 'msgpack' })
  // @ts-expect-error an order has an id
  pub.publish({ note: 'x' })
  ax.publisher('t', { schema: { type: 'object' } })
  // @ts-expect-error a schema is an object or text
  ax.publisher('t', { schema: 5 })
  // @ts-expect-error overflow is one of three
  ax.publisher('t', { overflow: 'drop_oldest' })
  const sent: Promise<void> = pub.publishAsync({ id: 1 }, { timeout: 5, signal: AbortSignal.timeout(1) })
  await sent
  pub.publishMany([{ id: 1 }, new Uint8Array(1)])
  await pub.publishManyAsync(new Set([{ id: 1 }]), { timeout: 1 })
  const lent: string = pub.loan(10, (a) => { same<typeof a, Uint8Array>(true); return 'x' })
  const typed: number = pub.loan({ shape: [2], dtype: 'int64' }, (a) => {
    same<typeof a, Shaped<BigInt64Array>>(true)
    a[0] = 1n
    return a.shape.length
  })
  pub.loan({ shape: [2] }, (a) => { same<typeof a, Shaped<Uint8Array>>(true) })
  const waited: number = await pub.loanAsync({ bytes: 5, attributes: { type: 'x' } }, async (a) => a.length, { timeout: 1 })
  same<ArrayOf<'bfloat16'>, Uint16Array>(true)
  same<typeof pub.id, bigint>(true)
  await pub.waitForSubscribers(1, { timeout: 1 })
  const { wakesElided, slabBytes, orphans, remnants, pinned }: PublisherStats = pub.stats()

  const sub: Subscriber<Order> = ax.subscriber<Order>('orders.>', { start: 'oldest', maxBorrowed: 5, wait: 'adaptive', signal: AbortSignal.abort() })
  ax.subscriber('t', { schema: '{"type": "object"}' })
  // @ts-expect-error a schema is an object or text
  ax.subscriber('t', { schema: 5 })
  const message: Message<Order> = await sub.receive({ timeout: 1 })
  same<typeof message.value, Order>(true)
  same<typeof message.data, Buffer>(true)
  same<typeof message.missed, number>(true)
  same<typeof message.sequence, number>(true)
  same<typeof message.publisher, bigint>(true)
  same<typeof message.tensor, TensorInfo | null>(true)
  same<typeof message.attributes, Readonly<Attributes> | null>(true)
  // @ts-expect-error messages are not written
  message.topic = 'x'
  const maybe = sub.tryReceive()
  // @ts-expect-error there may be none
  maybe.topic
  const many: Message<Order>[] = await sub.receiveMany(5)
  const length: number = sub.tryReceiveInto(new Float32Array(5))
  const borrowed: number | null = sub.tryBorrow((m) => { same<typeof m, BorrowedMessage<Order>>(true); return m.array.length })
  const later: string = await sub.borrow(async (m) => m.value.note ?? '')
  sub.borrow((m) => {
    // @ts-expect-error shared memory is read-only
    m.array[0] = 1
  })
  for await (const m of sub) same<typeof m, Message<Order>>(true)
  const untyped = ax.subscriber('>').tryReceive()
  // @ts-expect-error a value of unknown type
  untyped?.value.id

  const region: Region = ax.region('r', { size: 1, create: 'createNew' })
  same<typeof region.buffer, Buffer>(true)
  region.write(0, region.read(0, 1))
  sealedRegion(Buffer.alloc(1)).fd satisfies number
  setLogger((level, message) => console[level](message))
  setLogger(null)
  // @ts-expect-error: there is no such level
  setLogger((level) => level === 'fatal')
  regionFromFd(3).close()
  const producer: RingProducer = ax.ringProducer('r', { capacity: 1 })
  await producer.pushAsync(Buffer.alloc(1), { timeout: 1 })
  const { wakesSent, pendingMessages }: RingStats = producer.stats()
  const counted: SubscriberStats = sub.stats()
  void [wakesSent, pendingMessages, counted.orphans]
  // @ts-expect-error a ring carries bytes
  producer.push('text')
  const consumer: RingConsumer = ax.ringConsumer('r')
  for await (const data of consumer) same<typeof data, Buffer>(true)

  const queue: Queue<Order> = ax.queue<Order>('jobs', {
    capacity: 1, maxBytes: 1, maxAttempts: 1, durable: true, fsync: 'interval', fsyncInterval: 5, dedup: { count: 1, within: 1 },
    schema: {}, wait: 'block'
  })
  // @ts-expect-error fsync is one of three
  ax.queue('jobs', { fsync: true })
  const receipt: Receipt = queue.put({ id: 1 }, { priority: 7, delay: 1, ttl: 1, dedupId: 'a', result: true, attributes: { type: 'x' } })
  same<typeof receipt.ticket, Ticket | null>(true)
  // @ts-expect-error a duplicate has no ticket
  queue.put({ id: 1 }, { dedupId: 'a', result: true }).ticket.progress
  // @ts-expect-error nobody asked for a ticket
  queue.put({ id: 1 }, { priority: 7 }).ticket.progress
  const { ticket } = queue.put({ id: 1 }, { result: true, priority: 7 })
  const answer: number = await ticket.result({ timeout: 1 })
  same<typeof ticket, Ticket>(true)
  const { ticket: promised } = await queue.putAsync({ id: 1 }, { result: true, timeout: 1 })
  same<typeof promised, Ticket>(true)
  // @ts-expect-error an order has an id
  queue.put({ note: 'x' })
  // @ts-expect-error put does not wait
  queue.put({ id: 1 }, { timeout: 5 })
  await queue.putAsync({ id: 1 }, { timeout: 1, signal: AbortSignal.timeout(1), durable: false })
  const placed: void = await queue.putMany([{ id: 1 }, Buffer.from('raw')], { timeout: 1, durable: false, priority: 1 })
  const claims: Ticket[] = await queue.putMany(new Set([{ id: 1 }]), { result: true })
  // @ts-expect-error an order has an id
  queue.putMany([{ note: 'x' }])
  // @ts-expect-error an id is for one message
  queue.putMany([{ id: 1 }], { dedupId: 'a' })
  const job: Job<Order> = await queue.get({ timeout: 1, lease: 1 })
  same<typeof job.token, bigint>(true)
  job.nack({ delay: 5 })
  await job.ackAsync({ any: 'result' }, { durable: true, timeout: 1 })
  same<ReturnType<typeof queue.tryGet>, Job<Order> | null>(true)
  for (const each of await queue.getMany(5, { lease: 1 })) each.ack()
  for await (const each of queue) same<typeof each.value, Order>(true)
  const worker: QueueWorker = queue.worker({ concurrency: 4 }, async (each) => {
    same<typeof each, Job<Order>>(true)
    throw new Reject('no')
  })
  await worker.stop()
  const dead: Peeked<Order>[] = queue.deadLetters(5)
  const { ready, maxBytes: most }: QueueStats = queue.stats()
  await queue.sync({ timeout: 5 })
  ax.unlink('queue', 'jobs')
  void [answer, placed, claims, dead, ready, most, queue.purge({ dead: true }) satisfies number]

  const mutex: Mutex = ax.mutex('gpu', { wait: 'block' })
  const held: Held = await mutex.acquire({ timeout: 1, signal: AbortSignal.timeout(1) })
  same<ReturnType<typeof mutex.tryAcquire>, Held | undefined>(true)
  // @ts-expect-error how it was come by stays as it is
  held.ownerDied = false
  const rwlock: RwLock = ax.rwlock('table')
  for (const each of [await rwlock.read({ timeout: 1 }), await rwlock.write(), rwlock.tryRead(), rwlock.tryWrite()]) each?.release()
  const semaphore: Semaphore = ax.semaphore('seats', 4)
  // @ts-expect-error whoever makes it must know how many there are
  ax.semaphore('seats')
  const event: Event = ax.event('ready', { autoReset: true })
  event.set()
  event.clear()
  same<Awaited<ReturnType<typeof event.wait>>, void>(true)
  const barrier: Barrier = ax.barrier('start', 2)
  same<Awaited<ReturnType<typeof barrier.wait>>, boolean>(true)
  const [holder] = ax.lockHolders('gpu')
  same<typeof holder, LockHolder | undefined>(true)
  same<LockHolder['since'], number | null>(true)
  ax.unlink('lock', 'gpu')
  void [held.ownerDied, mutex.locked, semaphore.available, semaphore.permits, event.isSet, event.tryWait(), barrier.waiting]

  const listener: Listener = ax.listen('shm://d/x', { maxMessage: 5, wait: 'spin' })
  const channel: Channel = await ax.connect(listener.address, { timeout: 5, reconnect: true, signal: AbortSignal.timeout(1) })
  channel.send(Buffer.alloc(1), { descriptors: [0] })
  channel.send(new ArrayBuffer(1))
  // @ts-expect-error a channel carries bytes
  channel.send('text')
  await channel.sendAsync(Float64Array.of(1), { timeout: 1 })
  await channel.sendMany(new Set([Buffer.alloc(1)]), { timeout: 1 })
  await channel.flush()
  await channel.finish({ timeout: 1 })
  same<ReturnType<typeof channel.tryReceive>, ChannelMessage | null>(true)
  for await (const each of listener) same<typeof each, Channel>(true)
  for await (const each of channel) same<typeof each.data, Buffer>(true)
  const can: Can = channel.can
  same<typeof can.maxMessage, number | null>(true)
  const [piped, inherited] = ax.pipe({ maxMessage: 5 })
  same<typeof piped, Channel>(true)
  same<typeof inherited, ChildPipe>(true)
  same<typeof inherited.descriptors, readonly number[]>(true)
  const { sentBytes }: ChannelStats = channel.stats()

  const service: Service = ax.service('shop', '1.0.0', {
    price ({ item }: { item: string }, ctx) {
      same<typeof ctx, Context>(true)
      if (ctx.cancelled) throw new Status('CANCELLED', item, { reason: 'x', details: [1], retryable: false })
      return ctx.remaining
    },
    async * items (_, { input, progress }) { for await (const each of input) yield each; progress(1) }
  }, { concurrency: 5, wait: 'spin', maxMessage: 5 })
  // @ts-expect-error a method is a function
  ax.service('shop', '1.0.0', { price: 7 })
  // @ts-expect-error there is no such code
  void new Status('NONSENSE', '')
  interface Shop { price (params: { item: string }): number, sale (params?: { item: string }): number, items (): AsyncGenerator<string, boolean>, now (): Promise<Date> }
  const shop = ax.client<Shop>('shop', '^1', { address: service.listen('shm://d/y') })
  const client: Client = shop
  same<Awaited<ReturnType<typeof shop.price>>, number>(true)
  same<Awaited<ReturnType<typeof shop.now>>, Date>(true)
  await shop.price({ item: 'x' }, { timeout: 5, input: [1], attributes: { traceparent: 'x' }, progress: (done, note) => void [done, note] })
  await shop.sale()
  await shop.sale({ item: 'x' })
  // @ts-expect-error this one is given something
  await shop.price()
  // @ts-expect-error an item is text
  await shop.price({ item: 5 })
  // @ts-expect-error there is no such method
  await shop.nonsense()
  const stream: CallStream<string, boolean> = shop.items.stream()
  for await (const each of stream) same<typeof each, string>(true)
  const loose = ax.client('shop', '^1')
  await loose.anything?.({ x: 1 })
  same<typeof loose.closed, boolean>(true)
  await client.call('price', { item: 'x' })
  void [can.halfClose, sentBytes, service.atWork, client.underWay, client.stream('items')]

  const set = new WaitSet<string>()
  set.add(sub, 'sub').add(pub, 'pub').addFd(0, 'stdin').addTimer(10, 'tick').remove('tick')
  same<Awaited<ReturnType<typeof set.wait>>, string[]>(true)
  // @ts-expect-error tokens of this set are text
  set.addTimer(1, 5)
  // @ts-expect-error handles are made by their domain
  new ax.constructor.Publisher()

  try {
    ax.unlink('topic', 't')
  } catch (error) {
    if (error instanceof AxonicError) {
      const code: ErrorCode = error.code
      if (error.code === 'AXONIC_BUSY') same<typeof error.kind extends string ? true : false, true>(true)
      // @ts-expect-error there is no such code
      if (error.code === 'AXONIC_NONSENSE') return
      same<typeof error.accepted, number>(true)
      same<typeof error.status, CallStatus | undefined>(true)
      void code
    }
  }
  errors[0]?.number satisfies number | undefined
  void [lent, typed, waited, wakesElided, slabBytes, orphans, remnants, pinned, many, length, borrowed, later]
}
