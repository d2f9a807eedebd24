// Publish and subscribe: copies through a pattern, then an array written and read in place.

import { open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-topic')

const orders = ax.subscriber('orders.>')
ax.publisher('orders.created').publish({ id: 1 })
ax.publisher('orders.paid').publish({ id: 2 })
for (let i = 0; i < 2; i++) {
  const message = await orders.receive({ timeout: 1000 })
  console.log(`received ${message.topic}: ${JSON.stringify(message.value)}`)
}

const viewer = ax.subscriber('camera')
const camera = ax.publisher('camera')
camera.loan({ shape: [2, 3], dtype: 'float32' }, (array) => array.set([0, 1, 2, 3, 4, 5]))
await viewer.borrow((message) => {
  const { shape, dtype } = message.tensor
  const sum = message.array.reduce((a, b) => a + b)
  console.log(`borrowed ${message.topic}: ${shape.join('x')} ${dtype}, sum ${sum}`)
})

ax.close()
