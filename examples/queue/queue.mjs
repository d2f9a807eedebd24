// A queue: jobs by priority, one given back, one rejected, one whose result comes back.

import { open } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-queue')

const queue = ax.queue('jobs')
for (const [job, priority] of [['sweep', 0], ['wash', 7], ['paint', 3]]) queue.put(Buffer.from(job), { priority })
for (let i = 0; i < 4; i++) {
  const job = await queue.get({ timeout: 1000 })
  let happened = ''
  if (String(job.data) === 'sweep') {
    job.reject('no broom')
    happened = ', rejected'
  } else if (String(job.data) === 'paint' && job.attempt === 1) {
    job.nack()
    happened = ', given back'
  } else {
    job.ack()
  }
  console.log(`${job.data}: priority ${job.priority}, attempt ${job.attempt}${happened}`)
}

const { ticket } = queue.put(Buffer.from('6 x 7'), { result: true })
const question = await queue.get({ timeout: 1000 })
question.ack(Buffer.from('42'))
console.log(`${question.data} is ${await ticket.result({ timeout: 1000 })}`)

for (const dead of queue.deadLetters(10)) console.log(`dead letter: ${dead.data}, ${dead.reasonText}`)
queue.purge({ dead: true })

queue.close()
ax.close()
