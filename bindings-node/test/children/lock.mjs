// Asks for something of a lock, says so, says when it has it, and keeps it.

import { open } from '../../index.mjs'

const [name, what] = process.argv.slice(2)
const ax = open(name)
const take = {
  mutex: () => ax.mutex('m').acquire(),
  read: () => ax.rwlock('rw').read(),
  write: () => ax.rwlock('rw').write(),
  permit: () => ax.semaphore('s', 2).acquire(),
  event: () => ax.event('e').wait(),
  arrive: () => { ax.barrier('b', 3).wait() }
}
const taking = take[what]()
console.log('ready')
await taking
console.log(`has ${what}`)
setInterval(() => {}, 1000)
