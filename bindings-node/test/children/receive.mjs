// Waits for one message and ends.

import { open } from '../../index.mjs'

const sub = open(process.argv[2]).subscriber('t')
const waiting = sub.receive()
console.log('ready')
console.log(`got ${(await waiting).value}`)
