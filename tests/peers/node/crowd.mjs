// What the Node peer does in a crowd: it provides a service with others, or calls it many times at once.

import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../../../bindings-node/index.mjs'
import { message, numberIn } from './jobs.mjs'

const PATIENCE = 20_000
const SIZE = 64
// How long a call may take that takes longer.
const LIMIT = 20
const DELAY = 40

function tell (what, k) {
  writeSync(1, `${what} ${k}\n`)
}

export async function provide (domain, name) {
  const solve = (data) => {
    tell('did', numberIn(data))
    return Buffer.from(data).reverse()
  }
  open(domain).service(name, '1.0.0', {
    solve,
    async delay (data) {
      const result = solve(data)
      await sleep(DELAY)
      return result
    }
  })
  writeSync(1, 'providing\n')
}

async function outcomeOf (client, k) {
  const data = message(k, SIZE)
  const [method, timeout] = k % 16 === 5 ? ['delay', LIMIT] : ['solve', PATIENCE]
  try {
    const result = await client.call(method, data, { timeout })
    return data.reverse().equals(result) ? 'ok' : 'wrong'
  } catch (error) {
    if (error.kind === 'Unavailable') return 'gone'
    if (error.kind === 'Timeout') return 'late'
    throw error
  }
}

export async function consult (domain, name, first, milliseconds, together) {
  const ax = open(domain)
  const client = ax.client(name, '^1')
  const end = performance.now() + Number(milliseconds)
  let next = Number(first)
  await Promise.all(Array.from({ length: Number(together) }, async () => {
    while (performance.now() < end) {
      const k = next++
      tell(await outcomeOf(client, k), k)
    }
  }))
  ax.close()
  tell('consulted', next - Number(first))
}
