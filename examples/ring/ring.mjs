// The bare ring: messages in order, written and read in place, until the producer ends.

import { open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-ring')

const producer = ax.ringProducer('numbers')
const consumer = ax.ringConsumer('numbers')
producer.push(Buffer.from('one'))
producer.push(Buffer.from('two'))
producer.reserve(16, (array) => Buffer.from(array.buffer).write('written in place'))
producer.close()

for await (const data of consumer) console.log(`popped ${data}`)
console.log('the producer ended')

consumer.close()
ax.close()
