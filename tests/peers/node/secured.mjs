// Either end of a channel, wherever an address leads: `connect <address>`, or `listen <address>`, which prints where.

import { open } from '../../../bindings-node/index.mjs'

const [role, address] = process.argv.slice(2)
const timeout = 20_000
const ax = open('tls')

async function connect () {
  const channel = await ax.connect(address, { timeout })
  for (let i = 0; i < 100; i++) {
    await channel.sendAsync(Buffer.from(String(i)), { timeout })
    const { data } = await channel.receive({ timeout })
    if (Buffer.from(data).toString() !== String(i)) throw new Error(`${i} came back as ${data}`)
  }
  await channel.finish({ timeout })
}

async function listen () {
  const listener = ax.listen(address)
  console.log(listener.address)
  const channel = await listener.accept({ timeout })
  for await (const { data } of channel) {
    await channel.sendAsync(data, { timeout })
  }
  channel.close()
}

await (role === 'connect' ? connect() : listen())
ax.close()
