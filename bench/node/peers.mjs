// Peers in Node: node-unix-socket (node:net), node-child-process (its own channel, 'advanced' serialization) and
// zeromq-node (PAIR, PUSH and PULL, for calls REQ and REP, over ipc://, from target/bench/node).
import net from 'node:net'
import path from 'node:path'
import {
  LARGE, Meter, SMALL, end, exchangesAsync, folder, isChild, meet, name, packageOf, rates, skip, sleeping, startChild, streamOf,
  subject, tag, tell, warm
} from './common.mjs'

/** Writes all messages of a stream, stopping when `send` answers false until `drained` calls back. */
function pour (count, send, drained) {
  return new Promise((resolve) => {
    let i = 0
    const go = () => {
      while (i < count) {
        i++
        if (!send()) return drained(go)
      }
      resolve()
    }
    go()
  })
}

/** A socket of this half: the child listens. */
async function connect (part) {
  const at = path.join(folder, `${tag}-${part}`)
  if (!isChild) {
    await meet()
    const socket = net.connect(at)
    await new Promise((resolve) => socket.on('connect', resolve))
    return socket
  }
  const server = net.createServer()
  await new Promise((resolve) => server.listen(at, resolve))
  const accepted = new Promise((resolve) => server.on('connection', resolve))
  await meet()
  const socket = await accepted
  server.close()
  return socket
}

/** Calls back with each `size` bytes that arrived. */
function whole (socket, size, arrived) {
  let bytes = 0
  socket.on('data', (data) => {
    bytes += data.length
    const count = Math.floor(bytes / size)
    bytes %= size
    if (count > 0) arrived(count)
  })
}

const unixSocket = {
  async eventLoop () {
    const socket = await connect('loop')
    const message = Buffer.alloc(SMALL, 7)
    const n = sleeping()
    if (isChild) {
      whole(socket, SMALL, () => socket.write(message))
      return
    }
    let resume
    whole(socket, SMALL, () => resume())
    const nanos = await exchangesAsync(n, () => new Promise((resolve) => {
      resume = resolve
      socket.write(message)
    }))
    tell(SMALL, 'latency', 'ns', nanos)
  },
  async throughput (size) {
    const socket = await connect(`data-${size}`)
    const stream = streamOf(size)
    if (isChild) {
      const message = Buffer.alloc(size, 7)
      return pour(stream.all, () => socket.write(message), (go) => socket.once('drain', go))
    }
    const meter = new Meter(stream)
    await new Promise((resolve) => whole(socket, size, (count) => meter.add(count) && resolve()))
    rates(size, meter.rate)
  }
}

const channel = (other) => ({
  async eventLoop () {
    const n = sleeping()
    const message = Buffer.alloc(SMALL, 7)
    if (isChild) {
      let i = 0
      const answered = new Promise((resolve) => process.on('message', (got) => {
        if (got.step !== undefined) return
        process.send(got)
        if (++i === warm(n) + n) resolve()
      }))
      await meet()
      return answered
    }
    let resume
    other.on('message', (got) => got.step === undefined && resume())
    await meet()
    const nanos = await exchangesAsync(n, () => new Promise((resolve) => {
      resume = resolve
      other.send(message)
    }))
    tell(SMALL, 'latency', 'ns', nanos)
  },
  async throughput (size) {
    const stream = streamOf(size)
    if (isChild) {
      await meet()
      const message = Buffer.alloc(size, 7)
      return pour(stream.all, () => process.send(message), setImmediate)
    }
    const meter = new Meter(stream)
    const all = new Promise((resolve) => {
      const count = (got) => {
        if (got.step !== undefined || !meter.add(1)) return
        other.off('message', count)
        resolve()
      }
      other.on('message', count)
    })
    await meet()
    await all
    rates(size, meter.rate)
  }
})

function zeromq () {
  const zmq = packageOf('zeromq', skip)
  const [asks, replies] = name === 'call_blocking' ? [zmq.Request, zmq.Reply] : [zmq.Pair, zmq.Pair]
  const socketOf = async (part, listening, Kind) => {
    const at = `ipc://${folder}/${tag}-${part}`
    const socket = new Kind()
    if (listening) await socket.bind(at)
    await meet()
    if (!listening) socket.connect(at)
    return socket
  }
  return {
    async eventLoop () {
      const socket = await socketOf('loop', isChild, isChild ? replies : asks)
      const n = sleeping()
      if (isChild) {
        for (let i = 0; i < warm(n) + n; i++) await socket.send(await socket.receive())
        return
      }
      const message = Buffer.alloc(SMALL, 7)
      const nanos = await exchangesAsync(n, async () => {
        await socket.send(message)
        await socket.receive()
      })
      tell(SMALL, 'latency', 'ns', nanos)
    },
    async throughput (size) {
      const stream = streamOf(size)
      const socket = await socketOf(`data-${size}`, !isChild, isChild ? zmq.Push : zmq.Pull)
      if (isChild) {
        const message = Buffer.alloc(size, 7)
        for (let i = 0; i < stream.all; i++) await socket.send(message)
        return
      }
      const meter = new Meter(stream)
      for (let over = false; !over;) {
        await socket.receive()
        over = meter.add(1)
      }
      rates(size, meter.rate)
    }
  }
}

const zmq = subject === 'zeromq-node' ? zeromq() : undefined
const other = isChild ? process : startChild()
const of = zmq ?? (subject === 'node-unix-socket' ? unixSocket : channel(other))
if (name === 'throughput') {
  await of.throughput(SMALL)
  await of.throughput(LARGE)
} else {
  await of.eventLoop()
}
await end()
