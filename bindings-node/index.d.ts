/// <reference types="node" />

/**
 * Local IPC at shared-memory speed. A domain is a named place on this machine; processes in any
 * language open it, exchange messages through topics, regions, rings, queues and channels, call each other's services, and
 * keep out of each other's way with locks.
 *
 * Conventions: times are milliseconds; nothing blocks the event loop; calls whose name begins with
 * `try` answer null (locks: undefined; or -1) at once, calls that return a promise wait in the event loop, without a
 * thread (but what connects, and the disk of durable queues); received data is the receiver's copy, and zero-copy views live only inside callbacks.
 * Every handle belongs to the thread (main or Worker) that opened it. An idle handle does not keep
 * the process alive; a pending wait and an open service do.
 */

export * from './types/error.js'
export * from './types/log.js'
export * from './types/wait.js'
export * from './types/domain.js'
export * from './types/value.js'
export * from './types/publisher.js'
export * from './types/subscriber.js'
export * from './types/message.js'
export * from './types/region.js'
export * from './types/ring.js'
export * from './types/queue.js'
export * from './types/disk.js'
export * from './types/job.js'
export * from './types/worker.js'
export * from './types/ticket.js'
export * from './types/channel.js'
export * from './types/service.js'
export * from './types/context.js'
export * from './types/client.js'
export * from './types/lock.js'
export * from './types/waitset.js'
