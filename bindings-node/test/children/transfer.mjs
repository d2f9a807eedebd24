// Moves the memory of scoped views to ArrayBuffers of its own, which outlive the callback: that memory
// must stay mapped and must not be used for anything else.

import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { open } from '../../index.mjs'

// Newer engines have `transfer`, older ones behind a flag.
let { transfer } = ArrayBuffer.prototype
if (transfer === undefined) {
  setFlagsFromString('--harmony-rab-gsab-transfer')
  transfer = runInNewContext('ArrayBuffer.prototype.transfer')
}

let moved
const steal = (array) => { moved = new Uint8Array(transfer.call(array.buffer)) }
const refused = { code: 'AXONIC_INVALID_ARGUMENT' }
const closed = { code: 'AXONIC_CLOSED' }

const ax = open(process.argv[2])
const sub = ax.subscriber('t')
const pub = ax.publisher('t')
assert.throws(() => pub.loan(5000, steal), refused)
moved.fill(1)
pub.publish(Buffer.alloc(5000, 2))
moved.fill(3)
sub.tryBorrow(({ array }) => steal(array))
for (let i = 0; i < 100; i++) pub.publish(Buffer.alloc(5000, 4))
assert.ok(moved.every((byte) => byte === 2), 'its slot stays pinned')
assert.equal(sub.tryReceiveMany(1000).length, 100)

const producer = ax.ringProducer('r')
const consumer = ax.ringConsumer('r')
producer.push(Buffer.alloc(100, 1))
assert.throws(() => consumer.tryBorrow(steal), refused)
assert.throws(() => consumer.tryPop(), closed)
assert.throws(() => producer.reserve(100, steal), refused)
assert.throws(() => producer.push(Buffer.alloc(1)), closed)
ax.close()
assert.equal(moved.length, 100)
moved.fill(5)
console.log('kept')
