// The subject axonic-node.
import { open } from 'axonic'
import {
  LARGE, MIB, Meter, SMALL, calls, end, exchanges, exchangesAsync, isChild, meet, name, opens, rates, sleeping, spinning,
  startChild, streamOf, tag, tell, warm
} from './common.mjs'

const BATCH = 64

/** What one half sends by and receives by, once the other has its ends too. */
async function ends () {
  const [send, take] = isChild ? ['pong', 'ping'] : ['ping', 'pong']
  const domain = open(tag)
  const input = domain.subscriber(take)
  const output = domain.publisher(send)
  await meet()
  await output.waitForSubscribers(1)
  await meet()
  return { domain, input, output }
}

async function roundTripSpin () {
  const { input, output } = await ends()
  const n = spinning(SMALL)
  const message = Buffer.alloc(SMALL, 7)
  const got = Buffer.alloc(SMALL)
  const take = () => { while (input.tryReceiveInto(got) < 0); }
  if (isChild) {
    for (let i = 0; i < warm(n) + n; i++) {
      take()
      output.publish(got)
    }
  } else {
    const nanos = exchanges(n, () => {
      output.publish(message)
      take()
    })
    tell(SMALL, 'latency', 'ns', nanos)
  }
}

async function roundTripEventLoop () {
  const { input, output } = await ends()
  const n = sleeping()
  const message = Buffer.alloc(SMALL, 7)
  const got = Buffer.alloc(SMALL)
  if (isChild) {
    for (let i = 0; i < warm(n) + n; i++) {
      await input.receiveInto(got)
      output.publish(got)
    }
  } else {
    const nanos = await exchangesAsync(n, () => {
      output.publish(message)
      return input.receiveInto(got)
    })
    tell(SMALL, 'latency', 'ns', nanos)
  }
}

async function loanBorrow () {
  const { input, output } = await ends()
  const n = spinning(MIB)
  let value = 0
  const look = ({ array }) => { value = array[0] }
  const take = () => { while (input.tryBorrow(look) === null); }
  const lend = (fill) => output.loan(MIB, (array) => { array.fill(fill, 0, 64) })
  if (isChild) {
    for (let i = 0; i < warm(n) + n; i++) {
      take()
      lend(value)
    }
  } else {
    const nanos = exchanges(n, (i) => {
      lend(i & 255)
      take()
      if (value !== (i & 255)) throw new Error('not the message that was sent')
    }, 2)
    tell(MIB, 'latency', 'ns', nanos)
  }
}

/** Calls `send` until there is room; a full ring throws. */
function insist (send) {
  for (;;) {
    try {
      return send()
    } catch (error) {
      if (error.code !== 'AXONIC_WOULD_BLOCK') throw error
    }
  }
}

/** None lost: one message per call, received into a buffer; or `many` per call, each received as a Buffer of its own. */
async function throughput (size, many) {
  const stream = streamOf(size)
  const domain = open(tag)
  const topic = `data.${size}.${many}`
  if (isChild) {
    const output = domain.publisher(topic, { overflow: 'block', maxBytes: 16 * MIB })
    await meet()
    await output.waitForSubscribers(1)
    const message = Buffer.alloc(size, 7)
    if (many) {
      const batch = new Array(BATCH).fill(message)
      for (let i = 0; i < stream.all; i += BATCH) insist(() => output.publishMany(batch))
    } else {
      for (let i = 0; i < stream.all; i++) insist(() => output.publish(message))
    }
    await meet()
  } else {
    const input = domain.subscriber(topic)
    await meet()
    const got = Buffer.alloc(size)
    const meter = new Meter(stream)
    const takeInto = () => {
      while (input.tryReceiveInto(got) < 0);
      return 1
    }
    const takeMany = () => {
      const messages = input.tryReceiveMany(BATCH)
      for (const message of messages) got[0] ^= message.data[0]
      return messages.length
    }
    const take = many ? takeMany : takeInto
    while (!meter.add(take()));
    rates(size, meter.rate, many ? 'rate_many' : 'rate')
    await meet()
  }
  domain.close()
}

async function ring (size) {
  const stream = streamOf(size)
  const domain = open(tag)
  if (isChild) {
    const producer = domain.ringProducer(`ring.${size}`)
    const message = Buffer.alloc(size, 7)
    await meet()
    for (let i = 0; i < stream.all; i++) insist(() => producer.push(message))
    await meet()
  } else {
    const consumer = domain.ringConsumer(`ring.${size}`)
    const got = Buffer.alloc(size)
    await meet()
    const meter = new Meter(stream)
    while (!meter.add(1)) while (consumer.tryPopInto(got) < 0);
    rates(size, meter.rate)
    await meet()
  }
  domain.close()
}

/** Jobs put, taken and acknowledged; taken one by one, or `many` per call. */
async function queue (many) {
  const stream = streamOf(SMALL)
  const domain = open(tag)
  const jobs = domain.queue(`jobs.${many}`)
  await meet()
  if (isChild) {
    const message = Buffer.alloc(SMALL, 7)
    for (let i = 0; i < stream.all; i++) insist(() => jobs.put(message))
    await meet()
  } else {
    const meter = new Meter(stream)
    let sum = 0
    const finish = (job) => {
      sum ^= job.data[0]
      job.ack()
    }
    if (many) {
      for (let some = []; !meter.add(some.length);) {
        some = await jobs.getMany()
        some.forEach(finish)
      }
    } else {
      for (let count = 0; !meter.add(count);) {
        const job = jobs.tryGet()
        count = job === null ? 0 : 1
        if (job !== null) finish(job)
      }
    }
    rates(SMALL, meter.rate, many ? 'rate_many' : 'rate')
    await meet()
  }
  domain.close()
}

function openAndFirstPublish () {
  const nanos = opens((i) => {
    const domain = open(`${tag}-${i}`)
    domain.publisher('first').publish(Buffer.alloc(SMALL))
    return () => domain.close()
  })
  tell(SMALL, 'latency', 'ns', nanos)
}

function bindingCall () {
  const domain = open(tag)
  const output = domain.publisher('alone')
  const input = domain.subscriber('silent')
  const message = Buffer.alloc(SMALL)
  const got = Buffer.alloc(SMALL)
  tell(SMALL, 'publish', 'ns', calls(() => output.publish(message)))
  tell(SMALL, 'try_receive', 'ns', calls(() => input.tryReceiveInto(got)))
  domain.close()
}

const alone = { open_and_first_publish: openAndFirstPublish, binding_call: bindingCall }
const together = {
  round_trip_spin: roundTripSpin,
  round_trip_event_loop: roundTripEventLoop,
  loan_borrow: loanBorrow,
  throughput: async () => {
    await throughput(SMALL, false)
    await throughput(SMALL, true)
    await throughput(LARGE, false)
  },
  ring: async () => {
    await ring(SMALL)
    await ring(4096)
  },
  queue: async () => {
    await queue(false)
    await queue(true)
  }
}

if (alone[name]) {
  alone[name]()
} else {
  if (!isChild) startChild()
  await together[name]()
  await end()
}
