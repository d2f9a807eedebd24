// Answers what comes, backwards: by standard input and output, or at the address it is given.

import { open } from '../../index.mjs'

const channel = await open(process.argv[2]).connect(process.argv[3] ?? 'pipe:0,1')
for await (const { data } of channel) await channel.sendAsync(data.reverse())
await channel.finish()
