// Connects, says that it is there, and waits for an answer; `idle` just has the channel open.

import { open } from '../../index.mjs'

const [name, address, mode] = process.argv.slice(2)
const ax = open(name)
const channel = await ax.connect(address)
channel.send(Buffer.from('here'))
if (mode !== 'idle') await channel.receive()
