// What the Node peer does with locks.

import { openSync, readSync, writeSync } from 'node:fs'
import { open } from '../../../bindings-node/index.mjs'

const PATIENCE = { timeout: 20_000 }

export async function count (domain, path, times) {
  const ax = open(domain)
  const mutex = ax.mutex('count')
  const file = openSync(path, 'r+')
  const bytes = Buffer.alloc(8)
  for (let n = 0; n < Number(times); n++) {
    const held = await mutex.acquire(PATIENCE)
    if (held.ownerDied) console.log('owner died')
    readSync(file, bytes, 0, 8, 0)
    const number = bytes.readBigUInt64LE() + 1n
    bytes.writeBigUInt64LE(number)
    writeSync(file, bytes, 0, 8, 0)
    console.log(`${number}`)
    held.release()
  }
  ax.close()
  console.log(`counted ${times}`)
  return 0
}

export function must (holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}

class Hall {
  led = 0

  constructor (ax) {
    this.barrier = ax.barrier('turn', 2)
    this.event = ax.event('go')
    this.bell = ax.event('bell', { autoReset: true })
    this.rwlock = ax.rwlock('page')
    this.seats = ax.semaphore('seat', 1)
  }

  async turn () {
    if (await this.barrier.wait(PATIENCE)) this.led++
  }

  async first () {
    const writing = await this.rwlock.write(PATIENCE)
    const seat = await this.seats.acquire(PATIENCE)
    this.bell.set()
    this.bell.set()
    await this.turn()
    await this.turn()
    writing.release()
    seat.release()
    this.event.set()
    this.bell.set()
    await this.turn()
    must(!this.bell.isSet, 'who passed has cleared it')
    must(this.rwlock.tryWrite() === undefined, 'the other reads, so nobody writes')
    const reading = this.rwlock.tryRead()
    must(reading !== undefined, 'two read')
    reading.release()
    must(this.seats.tryAcquire() === undefined, 'the other has the only permit')
    must(this.event.isSet, 'it stays set')
    this.event.clear()
    await this.turn()
    await this.turn()
    const again = this.rwlock.tryWrite()
    must(again !== undefined, 'the other has stopped reading')
    const permit = this.seats.tryAcquire()
    must(permit !== undefined, 'the other has given its permit back')
    again.release()
    permit.release()
  }

  async second () {
    await this.turn()
    must(this.rwlock.tryRead() === undefined, 'the other writes, so nobody reads')
    must(this.rwlock.tryWrite() === undefined, 'the other writes, so nobody else does')
    must(this.seats.tryAcquire() === undefined, 'the other has the only permit')
    must(!this.event.tryWait(), 'nobody has set it')
    must(this.bell.tryWait(), 'it was set before')
    must(!this.bell.tryWait(), 'set twice it lets one pass')
    await this.turn()
    await this.event.wait(PATIENCE)
    await this.bell.wait(PATIENCE)
    const reading = await this.rwlock.read(PATIENCE)
    const seat = await this.seats.acquire(PATIENCE)
    await this.turn()
    await this.turn()
    must(!this.event.tryWait(), 'the other has cleared it')
    reading.release()
    seat.release()
    await this.turn()
  }
}

export async function meet (domain, role) {
  const ax = open(domain)
  const hall = new Hall(ax)
  await (role === 'first' ? hall.first() : hall.second())
  ax.close()
  console.log(`met ${hall.led}`)
  return 0
}
