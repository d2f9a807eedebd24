// A channel: messages both ways by address, until both ends have said all.

import { open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-channel')
const listener = ax.listen(`shm://${ax.name}/words`)

async function answer () {
  const channel = await listener.accept({ timeout: 5000 })
  for await (const { data } of channel) channel.send(Buffer.from(data).reverse())
  await channel.finish()
  channel.close()
}

const answered = answer()

const channel = await ax.connect(listener.address, { timeout: 5000 })
for (const word of ['stop', 'live', 'draw']) channel.send(Buffer.from(word))
await channel.finish()
for await (const { data } of channel) console.log(`answer: ${data}`)
console.log('the other end has ended')
try {
  channel.send(Buffer.alloc(channel.maxMessage + 1))
} catch (error) {
  if (error.code === 'AXONIC_TOO_LARGE') console.log('too large')
}
channel.close()
await answered

listener.close()
try {
  await ax.connect(`shm://${ax.name}/words`)
} catch (error) {
  if (error.code === 'AXONIC_NOT_FOUND') console.log('nobody listens')
}
ax.close()
