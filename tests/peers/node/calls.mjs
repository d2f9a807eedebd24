// What the Node peer does with services and calls.

import { setTimeout as sleep } from 'node:timers/promises'
import { Status, open } from '../../../bindings-node/index.mjs'
import { fill, matches } from './pattern.mjs'

const PATIENCE = { timeout: 20_000 }
const LIMIT = { timeout: 100 }
// Of the messages that are reversed.
const SIZES = [0, 1, 64, 4096, 1 << 20]
// Items of a stream, which are more than its credit.
const ITEMS = 600
const ITEM = 1024
const PARAMS = { text: 'ä€😀', numbers: [1, -2.5, 1e300], none: null, yes: true, deep: { a: [{ b: [] }] } }
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

function must (holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}

function pattern (k, size) {
  const bytes = Buffer.alloc(size)
  fill(bytes, k)
  return bytes
}

/** The sum of a message's bytes, each of which must be as it should be. */
function checked (data, k, size) {
  must(data.length === size && matches(data, k), `message ${k} is as it was sent`)
  return data.reduce((sum, byte) => sum + byte, 0)
}

const reversed = (data) => Buffer.from(data).reverse()

/** How many items, and the sum of their bytes. */
async function heard (items) {
  let count = 0
  let sum = 0
  for await (const item of items) sum += checked(item, count++, ITEM)
  return `${count} ${sum % 2 ** 32}`
}

function * patterns (count) {
  for (let k = 0; k < count; k++) yield pattern(k, ITEM)
}

export async function serve (domain, name, ...addresses) {
  const ax = open(domain)
  // Calls that lasted until their caller waited no more; how many milliseconds the last one's gave it, -1: as long as it takes.
  const naps = { begun: 0, over: 0, given: 0 }
  // Who has seen how far some work is says so.
  let go = () => {}
  const service = ax.service(name, '1.2.0', {
    reverse: reversed,
    describe: (params) => ({ got: params }),
    fail () {
      const details = { left: 3, why: ['a', null] }
      throw new Status('FAILED_PRECONDITION', 'not now', { reason: 'not_now', details, retryable: true })
    },
    async nap (params, { remaining, signal }) {
      naps.given = remaining === Infinity ? -1 : Math.floor(remaining)
      naps.begun++
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      naps.over++
    },
    naps: () => Buffer.from(`${naps.begun} ${naps.over} ${naps.given}`),
    items: (count) => patterns(Number(String(count))),
    total: async (params, ctx) => Buffer.from(await heard(ctx.input)),
    trace: (params, ctx) => Buffer.from(ctx.traceparent ?? ''),
    async work (params, ctx) {
      ctx.progress(0.5, 'half')
      await new Promise((resolve) => { go = resolve })
      return Buffer.from('worked')
    },
    go: () => go()
  })
  const given = await Promise.all(addresses.map((address) => service.listen(address)))
  if (addresses.includes('pipe:0,1')) return
  for (const address of given) console.log(`at ${address}`)
  console.log('serving')
}

async function failure (call) {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error('not so: a call that has to fail does so')
}

function tell (what, error) {
  console.log(`${what} ${error.kind} ${error.status?.code}`)
}

/** One way to the service. */
class Way {
  #client

  constructor (ax, service, address) {
    this.#client = ax.client(service, '^1.2', address === '-' ? {} : { address })
  }

  startNap (options) {
    return this.#client.call('nap', {}, options)
  }

  async talk () {
    let sum = 0
    for (const [k, size] of SIZES.entries()) sum += checked(reversed(await this.#call('reverse', pattern(k, size))), k, size)
    console.log(`reversed ${sum % 2 ** 32}`)
    console.log(`described ${JSON.stringify(await this.#call('describe', PARAMS))}`)
    await this.#fail()
    await this.#nap()
    console.log(`streamed ${await heard(this.#client.stream('items', Buffer.from(String(ITEMS)), PATIENCE))}`)
    console.log(`total ${await this.#call('total', {}, { input: patterns(ITEMS) })}`)
    let worked
    const progress = await new Promise((resolve, reject) => {
      worked = this.#call('work', {}, { progress: (...told) => resolve(told) })
      worked.catch(reject)
    })
    await this.#call('go')
    console.log(`progress ${progress.join(' ')} ${await worked}`)
    console.log(`trace ${await this.#call('trace', {}, { attributes: { traceparent: TRACE } })}`)
  }

  async naps () {
    return String(await this.#call('naps', Buffer.alloc(0))).split(' ').map(Number)
  }

  /** Waits until so many naps were begun, and are over. */
  async until (begun, over) {
    const end = performance.now() + PATIENCE.timeout
    for (;;) {
      const seen = await this.naps()
      if (seen[0] >= begun && seen[1] >= over) return seen[2]
      must(performance.now() < end, 'naps begin and end in time')
      await sleep(1)
    }
  }

  #call (method, params, options) {
    return this.#client.call(method, params, { ...PATIENCE, ...options })
  }

  async #fail () {
    const error = await failure(this.#call('fail'))
    const { code, reason, retryable, message, details, origin } = error.status
    console.log(`failed ${error.kind} ${code} ${reason} ${Number(retryable)}|${message}|${JSON.stringify(details)}|${origin}`)
    tell('unknown', await failure(this.#call('nonsense')))
  }

  /** One nap that is too long, and one that is given up. */
  async #nap () {
    const [begun, over] = await this.naps()
    tell('late', await failure(this.startNap(LIMIT)))
    console.log(`given ${await this.until(begun + 1, over + 1)}`)
    const controller = new AbortController()
    const nap = failure(this.startNap({ signal: controller.signal }))
    await this.until(begun + 2, over + 1)
    controller.abort()
    await nap
    console.log(`cancelled ${await this.until(begun + 2, over + 2)}`)
  }
}

export async function call (domain, service, ...addresses) {
  const ax = open(domain)
  const ways = addresses.map((address) => new Way(ax, service, address))
  for (const way of ways) await way.talk()
  tell('absent', await failure(ax.client('nobody', '*').call('reverse', Buffer.alloc(0), PATIENCE)))
  const [begun, over] = await ways[0].naps()
  const calls = ways.map((way) => failure(way.startNap()))
  await ways[0].until(begun + calls.length, over)
  console.log('napping')
  for (const one of calls) tell('gone', await one)
  ax.close()
}
