// Either end of a WebSocket, by the `ws` package, which is not ours: `client <url>`, or `server`, which prints its port.

import { once } from 'node:events'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../bindings-node/package.json', import.meta.url))
const { WebSocket, WebSocketServer } = require('ws')

const fail = (why) => {
  console.error(why)
  process.exit(1)
}
const check = (holds, what) => holds || fail(what)
const pattern = (length) => Buffer.from(Uint8Array.from({ length }, (_, i) => i * 7))

// Asks whoever echoes; text comes back as bytes.
async function client (url) {
  const socket = new WebSocket(url)
  socket.on('error', (error) => fail(error))
  await once(socket, 'open')
  const echo = async (sent) => {
    socket.send(sent)
    const [data, binary] = await once(socket, 'message')
    check(binary && Buffer.compare(data, Buffer.from(sent)) === 0, `${sent.length} bytes came back as ${data.length}`)
  }
  await echo('grüß dich')
  for (const length of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    await echo(pattern(length))
  }
  socket.send('in ', { fin: false })
  socket.send('parts', { fin: true })
  const [joined] = await once(socket, 'message')
  check(joined.toString() === 'in parts', joined)
  socket.ping('are you there')
  const [pong] = await once(socket, 'pong')
  check(pong.toString() === 'are you there', pong)
  socket.close(1000, 'thank you')
  const [code] = await once(socket, 'close')
  check(code === 1000, `closed with ${code}`)
}

// Echoes, pings, and says goodbye when it is asked to.
async function server () {
  const listening = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/echo' })
  await once(listening, 'listening')
  console.log(listening.address().port)
  const [socket] = await once(listening, 'connection')
  socket.on('message', (data, binary) => {
    check(binary, 'what comes from a channel is binary')
    if (data.toString() === 'goodbye') {
      socket.send('as text')
      socket.close(4000, 'goodbye')
    } else {
      socket.send(data)
    }
  })
  socket.ping('hello')
  await once(socket, 'pong')
  const [code] = await once(socket, 'close')
  check(code === 4000, `closed with ${code}`)
  listening.close()
}

await (process.argv[2] === 'client' ? client(process.argv[3]) : server())
