// Takes one job and keeps it.

import { open } from '../../index.mjs'

const q = open(process.argv[2]).queue('q')
const job = await q.get()
console.log(`got ${job.value}`)
setInterval(() => {}, 1000)
