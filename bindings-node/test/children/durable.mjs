// Puts into a durable queue without waiting for the disk, and stays.

import { open } from '../../index.mjs'

const [, , name, dataDir, fsync] = process.argv
const q = open(name, { dataDir }).queue('q', { durable: true, fsync, fsyncInterval: 50 })
q.put('first')
q.put('second')
setInterval(() => {}, 1000)
