// A service: a method on bytes, one by name, a stream, a failure with its reason, a call that is out of time.

import { Status, open } from 'axonic'

const CENTS = { apple: 25, pear: 40 }

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-rpc')

const shop = ax.service('shop', '1.2.0', {
  reverse: (data) => Buffer.from(data).reverse(),
  price ({ item, count }) {
    if (!(item in CENTS)) throw new Status('NOT_FOUND', `the shop has no ${item}`, { reason: 'no_such_item' })
    return CENTS[item] * count
  },
  * countdown ({ start }) {
    for (let number = start; number > 0; number--) yield number
  },
  async nap (params, ctx) {
    await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
  }
})

const client = ax.client('shop', '^1.2')
console.log(`reverse: ${await client.reverse(Buffer.from('hello'))}`)
console.log(`3 apples: ${await client.price({ item: 'apple', count: 3 })} cents`)
for await (const number of client.countdown.stream({ start: 3 })) console.log(`countdown: ${number}`)
try {
  await client.price({ item: 'moon', count: 1 })
} catch (error) {
  console.log(`price failed: ${error.status.code}, ${error.status.reason}`)
}
try {
  await client.nap({}, { timeout: 50 })
} catch (error) {
  console.log(`nap failed: ${error.status.code}`)
}

shop.close()
try {
  await client.reverse(Buffer.from('hello'))
} catch (error) {
  console.log(`reverse failed: ${error.status.code}`)
}
ax.close()
