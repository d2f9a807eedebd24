import type { WaitOptions } from './wait.js'

/** Whether to wait for the disk, which a queue in memory refuses; default: as the queue's `fsync` says. */
export interface DurableOptions extends WaitOptions {
  durable?: boolean
}
