// Opens and watches until no descriptor is left; everything still works after some are closed.

import assert from 'node:assert/strict'
import { open } from '../../index.mjs'

const ax = open(process.argv[2])
const subs = []
await assert.rejects(async () => {
  while (true) {
    subs.push(ax.subscriber('t'))
    await subs.at(-1).receive({ timeout: 1 }).catch((error) => {
      if (error.code !== 'AXONIC_TIMEOUT') throw error
    })
  }
}, { name: 'AxonicError', code: 'AXONIC_LIMIT_REACHED' })
assert.ok(subs.length > 2, `${subs.length} subscribers`)
for (const sub of subs.splice(2)) sub.close()
await new Promise(setImmediate)
const semaphores = []
await assert.rejects(async () => {
  while (true) {
    const semaphore = ax.semaphore(`s${semaphores.length}`, 2)
    semaphores.push(semaphore)
    // The second needs a handle to get it with.
    for (let i = 0; i < 2; i++) await semaphore.acquire()
  }
}, { name: 'AxonicError', code: 'AXONIC_LIMIT_REACHED' })
assert.ok(semaphores.length > 2, `${semaphores.length} semaphores`)
for (const semaphore of semaphores) semaphore.close()
await new Promise(setImmediate)
ax.publisher('t').publish('on')
assert.equal((await subs[0].receive({ timeout: 1000 })).value, 'on')
console.log('named')
