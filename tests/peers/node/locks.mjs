// What the Node peer does with locks.

import { openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../../../bindings-node/index.mjs'

const PATIENCE = { timeout: 20_000 }

function numberIn (file) {
  const bytes = Buffer.alloc(8)
  readSync(file, bytes, 0, 8, 0)
  return bytes.readBigUInt64LE()
}

/** Raises the number in a file, and answers what it is now. */
function raised (file) {
  const bytes = Buffer.alloc(8)
  const number = numberIn(file) + 1n
  bytes.writeBigUInt64LE(number)
  writeSync(file, bytes, 0, 8, 0)
  return number
}

function raise (file, held) {
  if (held.ownerDied) console.log('owner died')
  console.log(`${raised(file)}`)
  held.release()
}

export async function count (domain, path, times) {
  const ax = open(domain)
  const mutex = ax.mutex('count')
  const file = openSync(path, 'r+')
  for (let n = 0; n < Number(times); n++) {
    raise(file, await mutex.acquire(PATIENCE))
  }
  ax.close()
  console.log(`counted ${times}`)
  return 0
}

/** Has a permit for a moment, and tells from when to when. */
async function sit (seats) {
  const seat = await seats.acquire(PATIENCE)
  console.log(`in ${process.hrtime.bigint()}`)
  // Long enough for others to come.
  await sleep(1)
  console.log(`out ${process.hrtime.bigint()}`)
  seat.release()
}

export async function share (domain, path, times) {
  const ax = open(domain)
  const page = ax.rwlock('page')
  const seats = ax.semaphore('seats', 2)
  const file = openSync(path, 'r+')
  for (let n = 0; n < Number(times); n++) {
    if (n % 4 === 0) {
      raise(file, await page.write(PATIENCE))
      continue
    }
    const held = await page.read(PATIENCE)
    const number = numberIn(file)
    if (held.ownerDied) console.log(`owner died ${number}`)
    await sit(seats)
    must(numberIn(file) === number, 'nobody writes while somebody reads')
    held.release()
  }
  ax.close()
  console.log(`shared ${times}`)
  return 0
}

export function must (holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}

/** Says who has a lock. */
function tell (ax, name) {
  for (const { alive, since, role, pid, label } of ax.lockHolders(name)) {
    must(alive && since > 0, 'it is there, and has come')
    console.log(`${name}: ${role} ${pid} ${label}`)
  }
}

class Hall {
  led = 0

  constructor (ax) {
    this.ax = ax
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
    tell(this.ax, 'seat')
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
    tell(this.ax, 'page')
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
