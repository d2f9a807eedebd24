// What the Node peer does with channels.

import { closeSync, openSync, readFileSync } from 'node:fs'
import { open } from '../../../bindings-node/index.mjs'
import { fill, matches } from './pattern.mjs'

const PATIENCE = { timeout: 20_000 }
// Of the messages both ways, as far as a transport takes them.
const SIZES = [64, 0, 1, 4096, 60_000, 1 << 20]
// Of those that are sent many at a time, and their first number.
const SMALL = 64
const MANY = 100
// The number of the last message.
const LAST = 999
// What who listens says has numbers that are so much higher.
const ANSWERS = 1000

function must (holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}

/** One end, which speaks first or answers. */
class End {
  // Of the bytes that were heard.
  #sum = 0

  constructor (channel, speaksFirst) {
    this.channel = channel
    this.can = channel.can
    this.speaksFirst = speaksFirst
    this.ours = speaksFirst ? 0 : ANSWERS
    this.theirs = speaksFirst ? ANSWERS : 0
  }

  async exchange (k, size) {
    await this.#inTurns(() => this.#say(k, size), () => this.#hear(k, size))
  }

  async talk (file) {
    const { channel, can } = this
    this.#tell()
    for (const [k, size] of SIZES.entries()) {
      if (size <= channel.maxMessage && (can.messages || size > 0)) await this.exchange(k, size)
    }
    console.log(`sizes ${this.#heard()}`)
    if (can.credentials) console.log(`peer ${channel.peer.pid}`)
    // Nobody waits for room, and so much there is.
    const count = can.backPressure ? 200 : 8
    await this.#inTurns(() => this.#sayMany(count), () => this.#hearMany(count))
    console.log(`many ${count} ${this.#heard()}`)
    if (can.descriptors) await this.#inTurns(() => this.#pass(file), () => this.#tellFile())
    await this.#end()
    channel.close()
  }

  async expectEnd () {
    const message = await this.channel.receive(PATIENCE).catch((error) => {
      if (error.code !== 'AXONIC_DISCONNECTED') throw error
    })
    must(message === undefined, 'there is no message after the last')
  }

  async #inTurns (say, hear) {
    for (const turn of this.speaksFirst ? [say, hear] : [hear, say]) await turn()
  }

  #message (k, size) {
    const bytes = Buffer.alloc(size)
    fill(bytes, k + this.ours)
    return bytes
  }

  #say (k, size) {
    return this.channel.sendAsync(this.#message(k, size), PATIENCE)
  }

  /** So many bytes: one message, or what comes until that is all. */
  async #take (size) {
    let { data } = await this.channel.receive(PATIENCE)
    while (!this.can.messages && data.length < size) {
      data = Buffer.concat([data, (await this.channel.receive(PATIENCE)).data])
    }
    return data
  }

  #verify (data, k, size) {
    must(data.length === size && matches(data, k + this.theirs), `message ${k} is as it was sent`)
    for (const byte of data) this.#sum += byte
  }

  async #hear (k, size) {
    this.#verify(await this.#take(size), k, size)
  }

  #sayMany (count) {
    return this.channel.sendMany(Array.from({ length: count }, (_, n) => this.#message(MANY + n, SMALL)), PATIENCE)
  }

  async #hearMany (count) {
    const all = this.can.messages ? null : await this.#take(count * SMALL)
    for (let n = 0; n < count; n++) {
      if (all === null) await this.#hear(MANY + n, SMALL)
      else this.#verify(all.subarray(n * SMALL, (n + 1) * SMALL), MANY + n, SMALL)
    }
  }

  async #pass (path) {
    const file = openSync(path)
    await this.channel.sendAsync(Buffer.from('file'), { ...PATIENCE, descriptors: [file] })
    closeSync(file)
  }

  /** Says what is in the file whose descriptor comes. */
  async #tellFile () {
    const { data, descriptors } = await this.channel.receive(PATIENCE)
    must(String(data) === 'file' && descriptors.length === 1, 'a descriptor comes with the message')
    console.log(`descriptor ${readFileSync(descriptors[0])}`)
    closeSync(descriptors[0])
  }

  /** Who spoke first ends first, and hears one more message where it can. */
  async #end () {
    const { channel, can, speaksFirst } = this
    if (!can.end || (speaksFirst && !can.halfClose)) return
    if (speaksFirst) {
      await channel.finish()
      await this.#hear(LAST, SMALL)
    }
    await this.expectEnd()
    if (!speaksFirst && can.halfClose) {
      await this.#say(LAST, SMALL)
      await channel.finish()
    }
    console.log('ended')
  }

  #heard () {
    const sum = this.#sum % 2 ** 32
    this.#sum = 0
    return sum
  }

  #tell () {
    const { reliable, ordered, messages, backPressure, end, halfClose, descriptors, credentials } = this.can
    const bits = [reliable, ordered, messages, backPressure, end, halfClose, descriptors, credentials]
    console.log(`can ${bits.map(Number).join('')} ${this.channel.maxMessage}`)
  }
}

/** Talks over the first so many channels, and holds the others until their other ends have died. */
async function use (openings, talks, file) {
  const held = []
  for (const [n, opening] of openings.entries()) {
    const end = await opening()
    if (n < talks) await end.talk(file)
    else held.push(end)
  }
  for (const end of held) await end.exchange(0, SMALL)
  console.log('holding')
  for (const end of held) await end.expectEnd()
  console.log(`gone ${held.length}`)
}

export async function listen (domain, file, talks, ...addresses) {
  const ax = open(domain)
  const openings = []
  for (const address of addresses) {
    // Pipes are there already.
    const door = await (address.startsWith('pipe:') ? ax.connect(address) : ax.listen(address))
    console.log(`at ${door.address}`)
    openings.push(async () => {
      if (door.accept === undefined) return new End(door, false)
      const channel = await door.accept(PATIENCE)
      door.close()
      return new End(channel, false)
    })
  }
  await use(openings, Number(talks), file)
  ax.close()
}

export async function connect (domain, file, talks, ...addresses) {
  const ax = open(domain)
  const openings = addresses.map((address) => async () => new End(await ax.connect(address, PATIENCE), true))
  await use(openings, Number(talks), file)
  ax.close()
}
