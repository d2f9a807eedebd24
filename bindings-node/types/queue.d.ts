import type { DurableOptions } from './disk.js'
import type { Job } from './job.js'
import type { PublishOptions } from './publisher.js'
import type { Ticket } from './ticket.js'
import type { AnyTypedArray, TensorValue } from './value.js'
import type { Handle, Wait, WaitOptions } from './wait.js'
import type { QueueWorker, WorkerOptions } from './worker.js'

/** What whoever makes the queue decides, `schema` and `wait` excepted. */
export interface QueueOptions {
  /** Messages it can hold; default 65,536. Dead letters, and results that nobody fetched, take room too. */
  capacity?: number
  /** Bytes of messages over 128 bytes it can hold together; default 128 MiB. One message, or result, has at most 64 MiB. */
  maxBytes?: number
  /** Deliveries of one message before it is a dead letter, up to 65,535; default 16; 0: no limit. */
  maxAttempts?: number
  /**
   * Whether what is in it survives a reboot; default: it does not. A durable queue that is there may be opened without,
   * and keeps its `fsync`; one in memory is not opened with it, nor one that is on the disk made without it.
   */
  durable?: boolean
  /**
   * When what a durable queue holds is on the disk: `always` (default) before `putAsync` and `ackAsync` resolve,
   * `interval` every `fsyncInterval` milliseconds, `never` when the system writes it. All of them sync when the last
   * one closes the queue.
   */
  fsync?: 'always' | 'interval' | 'never'
  /** Milliseconds; default 100. */
  fsyncInterval?: number
  /** Which `dedupId`s are remembered: so many (default 4096), for so many milliseconds (default 300,000). */
  dedup?: { count?: number, within?: number }
  /**
   * A JSON Schema, as an object or as JSON text, that every value must satisfy. `put` refuses others with
   * AXONIC_INVALID_ARGUMENT; where `get` meets one it goes to the dead letters, with AXONIC_DECODE. Bytes and tensors
   * satisfy none.
   */
  schema?: object | string
  wait?: Wait
}

export interface PutOptions extends PublishOptions {
  /** 0 (default) to 7; the highest is served first. */
  priority?: number
  /** It is delivered after so many milliseconds, not before. */
  delay?: number
  /** After so many milliseconds it is a dead letter, if nobody has taken it. */
  ttl?: number
  /** A message with this id is put only once, as far as the queue remembers ids. */
  dedupId?: string
  /** Whether the receipt has a ticket. */
  result?: boolean
}

/** What always gives a ticket: with a `dedupId` it might be a duplicate. */
interface Asked {
  result: true
  dedupId?: undefined
}

/** They are for each message; ids, which are for one, are for `put` and `putAsync`. */
export type PutManyOptions = Omit<PutOptions, 'dedupId'> & DurableOptions

/** What a put gives: the message is in the queue, and survives the death of any process. */
export interface Receipt {
  /** Whether a message with this `dedupId` was put before, so that nothing was done now. */
  readonly duplicate: boolean
  /** With `result: true`, unless it is a duplicate. */
  readonly ticket: Ticket | null
}

export interface GetOptions {
  /** The job is this consumer's for so many milliseconds, and then somebody else's; default: until it is dead. */
  lease?: number
}

/** A message as it was when somebody looked at it. */
export interface Peeked<T = unknown> {
  readonly data: Buffer
  /** As `value` of a job; of a tensor the bytes. */
  readonly value: T
  readonly content: 'raw' | 'json' | 'msgpack' | 'tensor'
  readonly priority: number
  /** How often it was delivered. */
  readonly attempts: number
  /** Why it is a dead letter; null: it is none. */
  readonly reason: 'rejected' | 'attempts' | 'expired' | null
  /** The same in the words of whoever rejected it; empty if nobody did. */
  readonly reasonText: string
}

/**
 * A work queue: each message goes to one consumer, which acknowledges it, gives it back or rejects it; what a dead
 * consumer had goes to another. `for await` gets for ever.
 */
export interface Queue<T = unknown> extends Handle, AsyncIterable<Job<T>> {
  readonly name: string
  /** The pollable descriptor: readable until `tryGet` answered that there is nothing. */
  readonly fd: number
  /**
   * Puts now, as `publish` sends values; a full queue throws AXONIC_WOULD_BLOCK. Never waits for the disk: what is put
   * into a durable queue gets there by itself.
   */
  put(value: T | Uint8Array | AnyTypedArray | TensorValue, options: PutOptions & Asked): Receipt & { readonly ticket: Ticket }
  put(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PutOptions): Receipt
  /**
   * Puts as soon as there is room, in the order of the calls; of a durable queue, it is on the disk when the promise
   * resolves. The bytes of an array must not be changed before. With AXONIC_NOT_DURABLE, which running out of time for
   * the disk is too, it is put all the same: do not put it again. So it is where it was aborted while it waited for the
   * disk; with a `dedupId` it can be put again without harm.
   */
  putAsync(
    value: T | Uint8Array | AnyTypedArray | TensorValue, options: PutOptions & DurableOptions & Asked
  ): Promise<Receipt & { readonly ticket: Ticket }>
  putAsync(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PutOptions & DurableOptions): Promise<Receipt>
  /**
   * Puts one after another, as `putAsync` does, waiting for the disk once; what is wrong with a value is told before any is
   * put. Resolves with their tickets if these are asked for; of no values, at once. An AxonicError says in `accepted` how many were put, with
   * AXONIC_NOT_DURABLE all of them; aborted, those that were put stay put too.
   */
  putMany(
    values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>, options: PutManyOptions & { result: true }
  ): Promise<Ticket[]>
  putMany(
    values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>, options?: PutManyOptions & { result?: false }
  ): Promise<void>
  /** The next message, or null. */
  tryGet(options?: GetOptions): Job<T> | null
  get(options?: GetOptions & WaitOptions): Promise<Job<T>>
  /** At least one message, at most `max` (default 256). */
  getMany(max?: number, options?: GetOptions & WaitOptions): Promise<Job<T>[]>
  /**
   * Calls `work` with each job. What it returns is the ticket's result; when it throws, the job is given back, to another
   * attempt after 0.1 s, twice as long each time, up to 10 s, and the logger is told (`warn`). At the last attempt that the
   * queue allows it is rejected: the dead letter's reason is the error. `Reject` rejects it at once, and silently.
   */
  worker(work: (job: Job<T>) => unknown): QueueWorker
  worker(options: WorkerOptions, work: (job: Job<T>) => unknown): QueueWorker
  /** Up to `max` messages (default 256) that can be delivered now, in that order, without taking them. */
  peek(max?: number): Peeked<T>[]
  /** Up to `max` dead letters (default 256). */
  deadLetters(max?: number): Peeked<T>[]
  /**
   * Takes all messages away that nobody has, those for later included, or with `dead` all dead letters instead; answers
   * how many. Never waits for the disk.
   */
  purge(options?: { dead?: boolean }): number
  /** Lets up to `max` dead letters (default: all) be delivered again, as if they never had been; answers how many. */
  redrive(max?: number): number
  /** What is in it now, and counters since it was made. */
  stats(): QueueStats
  /** Resolves when everything that was put and settled before is on the disk; at once if it is in memory only. */
  sync(options?: WaitOptions): Promise<void>
  [Symbol.asyncIterator](): AsyncIterableIterator<Job<T>>
}
export const Queue: { readonly prototype: Queue }

export interface QueueStats {
  /** Messages to be delivered now, those given back included. */
  ready: number
  /** Messages for later. */
  delayed: number
  /** Messages that consumers have. */
  leased: number
  /** Results that producers have not fetched. */
  done: number
  dead: number
  /** Messages it can hold. */
  capacity: number
  /** Bytes of messages over 128 bytes, in the parts they are stored in. */
  bytes: number
  /** The most there can be of these. */
  maxBytes: number
  put: number
  /** Messages handed out, some more than once. */
  delivered: number
  acked: number
  /** Deliveries given back, by their consumers, by the end of a lease or after a death. */
  returned: number
  /** Messages that became dead letters. */
  buried: number
  /** Times a producer had to wait for room. */
  blocked: number
  /** Sleeping consumers woken. */
  wakesSent: number
}
