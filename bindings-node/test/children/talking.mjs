// A Worker listens, and provides a service, which the main thread calls; and ends in several ways.

import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { open } from '../../index.mjs'

const own = fileURLToPath(import.meta.url)
const [name] = isMainThread ? process.argv.slice(2) : [workerData.name]

async function inside () {
  const ax = open(name)
  const listener = ax.listen('inproc://talk')
  const service = ax.service('counter', '1.0.0', {
    add: ({ a, b }) => a + b,
    async * count ({ to }) { for (let i = 0; i < to; i++) yield i }
  })
  parentPort.postMessage('up')
  for await (const channel of listener) {
    for await (const { data } of channel) channel.send(data.reverse())
    if (workerData.way === 'leave') break
    if (workerData.way === 'throw') throw new Error('expected')
    if (workerData.way === 'exit') process.exit(0)
  }
  service.close()
}

async function round (way) {
  const worker = new Worker(own, { workerData: { way, name } })
  worker.on('error', () => {})
  const ended = new Promise((resolve) => worker.on('exit', resolve))
  await new Promise((resolve) => worker.once('message', resolve))
  const ax = open(name)
  const client = ax.client('counter', '^1')
  const call = await client.add({ a: 40, b: 2 }, { timeout: 10_000 })
  const streamed = []
  for await (const item of client.count.stream({ to: 3 })) streamed.push(item)
  const channel = await ax.connect('inproc://talk', { timeout: 10_000 })
  channel.send(Buffer.from('hello'))
  const answer = (await channel.receive({ timeout: 10_000 })).data.toString()
  const hanging = channel.receive({ timeout: 10_000 }).catch((error) => error.kind)
  await channel.finish()
  if (await hanging !== 'Disconnected') throw new Error(`the channel outlives its worker (${way})`)
  const end = await ended
  ax.close()
  return { channel: answer, call, streamed, end }
}

if (isMainThread) {
  const rounds = []
  for (const way of ['leave', 'exit', 'throw']) rounds.push(await round(way))
  const [{ channel, call, streamed }] = rounds
  console.log(JSON.stringify({ channel, call, streamed, ends: rounds.map(({ end }) => end) }))
} else {
  await inside()
}
