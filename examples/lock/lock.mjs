// A lock: processes count in turn; one is killed while it has the mutex, and the next is told.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-lock')
const counter = ax.region('counter', { size: 8 }).buffer
const mutex = ax.mutex('counter')
const taken = ax.event('taken')

/** In two steps: only the mutex makes this right. */
const addOne = () => counter.writeBigUInt64LE(counter.readBigUInt64LE() + 1n)

const start = (role) => fork(fileURLToPath(import.meta.url), [role])

async function count () {
  for (let i = 0; i < 1000; i++) {
    const held = await mutex.acquire()
    addOne()
    held.release()
  }
}

async function die () {
  await mutex.acquire()
  addOne()
  taken.set()
  await new Promise(() => setInterval(() => {}, 1000))
}

async function main () {
  await Promise.all([1, 2, 3].map(() => once(start('count'), 'exit')))
  console.log(`3 processes counted to ${counter.readBigUInt64LE()}`)

  const victim = start('die')
  await taken.wait({ timeout: 5000 })
  console.log(`locked: ${mutex.tryAcquire() === undefined}`)
  victim.kill('SIGKILL')
  const held = await mutex.acquire({ timeout: 5000 })
  console.log(`owner died: ${held.ownerDied}, the counter says ${counter.readBigUInt64LE()}`)
  held.release()
  ax.unlink('region', 'counter')
}

await { count, die, main }[process.argv[2] ?? 'main']()
ax.close()
