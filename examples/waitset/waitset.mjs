// One wait for a timer and a subscriber: the timer makes the program publish.

import { WaitSet, open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-waitset')

const orders = ax.subscriber('orders.>')
const publisher = ax.publisher('orders.created')
const set = new WaitSet().addTimer(10, 'timer').add(orders)

let message = null
while (message === null) {
  const [ready] = await set.wait()
  if (ready === 'timer') {
    console.log('timer ready')
    set.remove('timer')
    publisher.publish({ id: 1 })
  } else {
    message = orders.tryReceive()
  }
}
console.log(`subscriber ready\nreceived ${message.topic}: ${JSON.stringify(message.value)}`)

set.close()
ax.close()
