import type { GetOptions } from './queue.js'

export interface WorkerOptions extends GetOptions {
  /** Jobs that are worked on at the same time; default 1. */
  concurrency?: number
}

/** Calls a function with each job of a queue. */
export interface QueueWorker {
  /** Takes no more jobs; resolves when those that were begun are finished. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
