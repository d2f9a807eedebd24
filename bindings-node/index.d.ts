/// <reference types="node" />

/**
 * Local IPC at shared-memory speed. A domain is a named place on this machine; processes in any
 * language open it, exchange messages through topics, regions, rings and queues, and keep out of each other's way with
 * locks.
 *
 * Conventions: times are milliseconds; nothing blocks the event loop; calls whose name begins with
 * `try` answer null (locks: undefined; or -1) at once, calls that return a promise wait in the event loop, without a
 * thread; received data is the receiver's copy, and zero-copy views live only inside callbacks.
 * Every handle belongs to the thread (main or Worker) that opened it. An idle handle does not keep
 * the process alive; a pending wait does.
 */

/** The kinds of error, with the stable names all languages share. */
export type ErrorKind =
  | 'InvalidArgument' | 'InvalidName' | 'NotFound' | 'AlreadyExists' | 'PermissionDenied' | 'Timeout'
  | 'WouldBlock' | 'Closed' | 'Disconnected' | 'TooLarge' | 'Full' | 'LimitReached' | 'NoSpace'
  | 'LayoutMismatch' | 'Corrupt' | 'Forked' | 'Busy' | 'InUse' | 'Interrupted' | 'Unsupported'
  | 'Decode' | 'Io' | 'LeaseLost' | 'Rejected' | 'NotDurable' | 'Unavailable' | 'Cancelled' | 'CallFailed'

/** `err.code` of each kind. */
export type ErrorCode =
  | 'AXONIC_INVALID_ARGUMENT' | 'AXONIC_INVALID_NAME' | 'AXONIC_NOT_FOUND' | 'AXONIC_ALREADY_EXISTS'
  | 'AXONIC_PERMISSION_DENIED' | 'AXONIC_TIMEOUT' | 'AXONIC_WOULD_BLOCK' | 'AXONIC_CLOSED'
  | 'AXONIC_DISCONNECTED' | 'AXONIC_TOO_LARGE' | 'AXONIC_FULL' | 'AXONIC_LIMIT_REACHED'
  | 'AXONIC_NO_SPACE' | 'AXONIC_LAYOUT_MISMATCH' | 'AXONIC_CORRUPT' | 'AXONIC_FORKED' | 'AXONIC_BUSY'
  | 'AXONIC_IN_USE' | 'AXONIC_INTERRUPTED' | 'AXONIC_UNSUPPORTED' | 'AXONIC_DECODE' | 'AXONIC_IO'
  | 'AXONIC_LEASE_LOST' | 'AXONIC_REJECTED' | 'AXONIC_NOT_DURABLE' | 'AXONIC_UNAVAILABLE' | 'AXONIC_CANCELLED'
  | 'AXONIC_CALL_FAILED'

/** Every failure; the message names the object, what happened, the limit and the remedy. */
export class AxonicError extends Error {
  constructor(kind: ErrorKind, message: string, options?: ErrorOptions)
  /** What to branch on. */
  readonly code: ErrorCode
  /** The same, as the other languages name it. */
  readonly kind: ErrorKind
  /**
   * Of `putMany`, and with AXONIC_NOT_DURABLE: how many messages of the call are in the queue all the same, the first ones.
   * Of `sendMany`: how many were sent.
   */
  readonly accepted: number
  /** Of a call that failed: why, as its service says. */
  readonly status?: CallStatus
}

/** What went wrong with a call: gRPC's codes. */
export type CallCode =
  | 'CANCELLED' | 'UNKNOWN' | 'INVALID_ARGUMENT' | 'DEADLINE_EXCEEDED' | 'NOT_FOUND' | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED' | 'FAILED_PRECONDITION' | 'ABORTED' | 'OUT_OF_RANGE' | 'UNIMPLEMENTED'
  | 'INTERNAL' | 'UNAVAILABLE' | 'DATA_LOSS' | 'UNAUTHENTICATED'

/** Why a call failed. */
export interface CallStatus {
  /** What to branch on. */
  readonly code: CallCode
  /** A word of the service's own that stays the same while texts change; may be empty. */
  readonly reason: string
  /** A sentence for a person. */
  readonly message: string
  /** The same call may succeed later, and does no harm if it was done already. */
  readonly retryable: boolean
  /** What else the service tells. */
  readonly details: any
  /** Who failed: service, version, program, process; may be empty. */
  readonly origin: string
}

/** The core's error table, in the order of its stable numbers. */
export const errors: readonly { readonly number: number, readonly name: ErrorKind, readonly code: ErrorCode }[]

/**
 * What is told to a logger, by the names of `console`'s methods. `debug`: what was opened and closed,
 * who met whom. `info`: somebody died, leftovers were removed. `warn`: something was lost or could
 * not be done.
 */
export type LogLevel = 'debug' | 'info' | 'warn'

/**
 * Lets `logger` hear what happens beside the answers of this thread's calls: `setLogger((level,
 * message) => console[level](message))`. The event loop calls it after the call, so it may use the
 * library; what its own calls cause is not told. null: nobody, as in the beginning. Each thread
 * (main or Worker) has its own.
 */
export function setLogger(logger: ((level: LogLevel, message: string) => void) | null): void

/** How long a wait may take. */
export interface WaitOptions {
  /** Milliseconds; without it a wait has no end. Running out rejects with AXONIC_TIMEOUT. */
  timeout?: number
  /** Aborting rejects with `signal.reason`. */
  signal?: AbortSignal
}

/** How a native wait may spin before it sleeps; promises always sleep in the event loop. */
export type Wait = 'spin' | 'adaptive' | 'block'

export interface DomainOptions {
  /** Where the domain's files live; default `AXONIC_RUNTIME_DIR` or a private directory on /dev/shm. */
  runtimeDir?: string
  /** Permission bits of a domain shared by a group. */
  mode?: number
  /** Group id of a domain shared by a group. */
  group?: number
  /** Participants the domain has room for, when this call creates it. */
  maxParticipants?: number
  /** Bytes of shared memory the domain's objects may take together, when this call creates it. */
  quota?: number
  /** Bytes each participant's objects may take, when this call creates it. */
  participantQuota?: number
  /**
   * Where durable queues are kept; default `AXONIC_DATA_DIR`, or `axonic` in `XDG_STATE_HOME` (`~/.local/state`
   * unless set).
   */
  dataDir?: string
  /** What `axonic ls` calls this participant; default: the script's name. */
  label?: string
}

/** What closes itself at the end of a `using` block. */
interface Handle {
  /** Whether it was closed; every call then throws AXONIC_CLOSED. */
  readonly closed: boolean
  /** Ends it; a second time does nothing. Waits in progress reject with AXONIC_CLOSED. */
  close(): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Attaches to a domain, creating it if need be.
 *
 * @param name default `AXONIC_DOMAIN` or `default`
 */
export function open(name?: string, options?: DomainOptions): Domain
export function open(options: DomainOptions): Domain

/** An open domain: one participant. */
export interface Domain extends Handle {
  readonly name: string
  /** Its directory. */
  readonly path: string
  /** This open, as `slot.epoch`. */
  readonly participant: string
  /** Opens the sending end of a topic. `T` is the type of the values published. */
  publisher<T = unknown>(topic: string, options?: PublisherOptions): Publisher<T>
  /** Opens the receiving end of all topics that match: `*` is one token, `>` the rest. */
  subscriber<T = unknown>(pattern: string, options?: SubscriberOptions): Subscriber<T>
  /** Opens or creates named raw shared memory. */
  region(name: string, options?: RegionOptions): Region
  /** Opens the only writing end of a ring. */
  ringProducer(name: string, options?: RingOptions): RingProducer
  /** Opens the only reading end of a ring. */
  ringConsumer(name: string, options?: RingOptions): RingConsumer
  /**
   * Listens for channels at an address: `shm://domain/name`, `inproc://name`, `unix:///path`, `tcp://host:port`,
   * `udp://host:port`, `fifo:///path`, `ws://host:port/path`.
   */
  listen(address: string, options?: ChannelOptions): Listener
  /** Opens a channel to whoever listens at an address; where nobody does, it rejects at once with AXONIC_NOT_FOUND. */
  connect(address: string, options?: ConnectOptions): Promise<Channel>
  /**
   * Provides a service in a version such as `1.2.0`, from now on: each method is a function of `methods`. It keeps the
   * process alive until it is closed.
   */
  service(name: string, version: string, methods: Record<string, Handler>, options?: ServiceOptions): Service
  /**
   * Calls the service `name` of whoever provides a version in `range`, such as `^1.2`: `client.method(params, options)`.
   * `S` has its methods as functions; those that stream return an `AsyncIterable`.
   */
  client<S = AnyMethods>(name: string, range: string, options?: ClientOptions): Client & RemoteMethods<S>
  /** Opens a work queue, for putting and for getting. `T` is the type of the values. */
  queue<T = unknown>(name: string, options?: QueueOptions): Queue<T>
  /**
   * Opens a mutex. Of this and the other locks there is one object for each name, which all who ask for it get until it
   * is closed; the options count when it is opened.
   */
  mutex(name: string, options?: LockOptions): Mutex
  /** Opens a lock that many read, or one writes. */
  rwlock(name: string, options?: LockOptions): RwLock
  /** Opens a semaphore; whoever is first makes it with so many permits, 1 to 1024. */
  semaphore(name: string, permits: number, options?: LockOptions): Semaphore
  /** Opens an event; whoever is first makes it, clear. */
  event(name: string, options?: EventOptions): Event
  /** Opens a barrier; whoever is first makes it for so many parties, 2 to 64. */
  barrier(name: string, parties: number, options?: LockOptions): Barrier
  /** Who has the lock of this name, of any type; nobody has an event. */
  lockHolders(name: string): LockHolder[]
  /** Removes a region, or what is left of a topic, ring, queue or lock that nobody alive holds. */
  unlink(noun: 'topic' | 'region' | 'ring' | 'queue' | 'lock', name: string): void
}
export const Domain: { readonly prototype: Domain }

export type Dtype =
  | 'bool' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64'
  | 'float16' | 'bfloat16' | 'float32' | 'float64' | 'complex64' | 'complex128'

type AnyTypedArray =
  | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array
  | BigInt64Array | BigUint64Array | Float32Array | Float64Array

/**
 * The array that shows elements of a dtype. Half floats are shown as their bits (as `Float16Array`
 * in engines that have it), complex numbers as pairs.
 */
export type ArrayOf<D extends Dtype> =
  D extends 'bool' | 'uint8' ? Uint8Array
  : D extends 'int8' ? Int8Array
  : D extends 'int16' ? Int16Array
  : D extends 'uint16' | 'bfloat16' | 'float16' ? Uint16Array
  : D extends 'int32' ? Int32Array
  : D extends 'uint32' ? Uint32Array
  : D extends 'int64' ? BigInt64Array
  : D extends 'uint64' ? BigUint64Array
  : D extends 'float64' | 'complex128' ? Float64Array
  : Float32Array

/** A typed array that remembers its shape; publishing it again keeps both. */
export type Shaped<A> = A & { readonly shape: readonly number[], readonly dtype: Dtype }

/** Shape and element type of a tensor, row-major. */
export interface TensorInfo {
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

/** A tensor to publish: `data` has the elements in row-major order. */
export interface TensorValue {
  data: AnyTypedArray
  shape: readonly number[]
  /** Default: the type of `data`. */
  dtype?: Dtype
}

/** CloudEvents attributes: names of 1 to 20 characters a-z and 0-9. */
export type Attributes = Record<string, string>

export interface PublisherOptions {
  /**
   * What a full ring means: `dropOldest` (default) overwrites and lets the subscriber know how many
   * messages it missed, `block` waits (`publishAsync`) or throws AXONIC_WOULD_BLOCK (`publish`),
   * `reject` throws AXONIC_FULL.
   */
  overflow?: 'dropOldest' | 'block' | 'reject'
  /** Bytes of the ring for small messages. */
  capacity?: number
  /** Budget in bytes of shared memory for payloads over 2 KiB. */
  maxBytes?: number
  /** Keep what was sent after this publisher ends, for subscribers that start at `oldest`. */
  retain?: boolean
  /**
   * A JSON Schema, as an object or as JSON text, that every value must satisfy: others are refused
   * with AXONIC_INVALID_ARGUMENT. Bytes and tensors, and so loans, satisfy none.
   */
  schema?: object | string
  wait?: Wait
}

export interface PublishOptions {
  /** CloudEvents attributes to send along; missing required ones are filled in. */
  attributes?: Attributes
  /**
   * How to encode the value; default: bytes as `raw`, typed arrays as tensors, anything else as
   * `json`. Bytes given with `json` or `msgpack` are taken as already encoded.
   */
  content?: 'raw' | 'json' | 'msgpack'
}

/** A loan's memory as a tensor of this shape and element type (default `uint8`). */
export interface LoanSpec<D extends Dtype = Dtype> {
  shape: readonly number[]
  dtype?: D
  attributes?: Attributes
}

/** The sending end of a topic. */
export interface Publisher<T = unknown> extends Handle {
  readonly topic: string
  /** Its identity, as messages carry it. */
  readonly id: bigint
  /** Live matched subscribers now. */
  readonly subscribers: number
  /** The pollable descriptor, readable when a publish that found no room should be tried again. */
  readonly fd: number
  /**
   * Sends now and never waits. Uint8Array and Buffer go out as raw bytes, other typed arrays and
   * `{ data, shape, dtype }` as tensors, anything else as JSON.
   */
  publish(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PublishOptions): void
  /**
   * Sends as soon as there is room, in the order of the calls. The bytes of an array must not be
   * changed before the promise settles.
   */
  publishAsync(value: T | Uint8Array | AnyTypedArray | TensorValue, options?: PublishOptions & WaitOptions): Promise<void>
  /** Sends all or nothing, now. */
  publishMany(values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>): void
  /** Sends all or nothing, as soon as there is room for all. */
  publishManyAsync(values: Iterable<T | Uint8Array | AnyTypedArray | TensorValue>, options?: WaitOptions): Promise<void>
  /**
   * Lends shared memory to `callback` and publishes it when that returns (or its promise resolves);
   * an exception discards it. The array is empty afterwards. Its first contents are arbitrary.
   * Where an engine refuses foreign memory (Electron), the array is a copy and the rest is the same.
   */
  loan<R, D extends Dtype = 'uint8'>(spec: LoanSpec<D>, callback: (array: Shaped<ArrayOf<D>>) => R): R
  loan<R>(bytes: number | { bytes: number, attributes?: Attributes }, callback: (array: Uint8Array) => R): R
  /** `loan` that waits for room. */
  loanAsync<R, D extends Dtype = 'uint8'>(
    spec: LoanSpec<D>, callback: (array: Shaped<ArrayOf<D>>) => R, options?: WaitOptions
  ): Promise<Awaited<R>>
  loanAsync<R>(
    bytes: number | { bytes: number, attributes?: Attributes }, callback: (array: Uint8Array) => R, options?: WaitOptions
  ): Promise<Awaited<R>>
  /** Resolves when `count` subscribers are matched. */
  waitForSubscribers(count: number, options?: WaitOptions): Promise<void>
  /** Counters since the open. */
  stats(): PublisherStats
}

export interface PublisherStats {
  published: number
  /** Payload bytes. */
  bytes: number
  /** Times a publish waited for room. */
  blocked: number
  /** Sleeping subscribers woken. */
  wakesSent: number
  /** Messages for which nobody had to be woken. */
  wakesElided: number
  subscribers: number
  /** Shared memory taken for payloads over 2 KiB. */
  slabBytes: number
  /** Slots of that memory which readers have pinned now. */
  pinned: number
  /** Finished publishers of this topic whose rings still wait for a reader, or are retained. */
  orphans: number
  /** Those of which only the count is left, for subscribers that are still to be told what they missed. */
  remnants: number
}

export const Publisher: { readonly prototype: Publisher }

export interface SubscriberOptions {
  /** Where to begin with publishers that are there already: `latest` (default) or `oldest`. */
  start?: 'latest' | 'oldest'
  /** Messages that may be borrowed at once. */
  maxBorrowed?: number
  /**
   * A JSON Schema, as an object or as JSON text, that every value must satisfy: one that does not is
   * passed over with AXONIC_DECODE, which names it. Going on afterwards gives the next message.
   */
  schema?: object | string
  wait?: Wait
  /** Aborting closes the subscriber; waits and iterations then reject with `signal.reason`. */
  signal?: AbortSignal
}

/** A received message; its bytes belong to the receiver. */
export interface Message<T = unknown> {
  readonly topic: string
  /** The payload. */
  readonly data: Buffer
  /**
   * The payload by its content type: raw is the Buffer, JSON and MessagePack are the decoded value,
   * a tensor is a typed array with `shape` and `dtype`. Throws AXONIC_DECODE if it cannot be decoded.
   */
  readonly value: T
  readonly content: 'raw' | 'json' | 'msgpack' | 'tensor'
  /** Messages missed just before this one. */
  readonly missed: number
  /** Its number in the order of its publisher. */
  readonly sequence: number
  /** The identity of its publisher. */
  readonly publisher: bigint
  /** CloudEvents attributes, if it has any. */
  readonly attributes: Readonly<Attributes> | null
  readonly tensor: TensorInfo | null
}
export const Message: { readonly prototype: Message }

/** A message in place, for the length of a callback. */
export interface BorrowedMessage<T = unknown> extends Message<T> {
  /**
   * The payload in shared memory: an array of the tensor's type, else a Uint8Array. It is empty
   * after the callback. The memory is read-only: writing to it ends the process.
   */
  readonly array: Readonly<Shaped<AnyTypedArray> | Uint8Array>
}

/** The receiving end of topics; `for await` receives for ever. */
export interface Subscriber<T = unknown> extends Handle, AsyncIterable<Message<T>> {
  readonly pattern: string
  /** Its identity, as the CLI shows it. */
  readonly id: bigint
  /** Messages missed so far. */
  readonly missed: number
  /** Live matched publishers now. */
  readonly publishers: number
  /** The pollable descriptor: readable until a call answered that there is nothing. */
  readonly fd: number
  /** The next message, or null. */
  tryReceive(): Message<T> | null
  receive(options?: WaitOptions): Promise<Message<T>>
  /**
   * Up to `max` messages that are there now; their data share one allocation. An error behind some
   * of them is thrown by the next call.
   */
  tryReceiveMany(max?: number): Message<T>[]
  /** At least one message, at most `max`. */
  receiveMany(max?: number, options?: WaitOptions): Promise<Message<T>[]>
  /**
   * The next message's bytes into `buffer`: the fastest way. Answers their number, or -1. A message
   * that does not fit throws AXONIC_TOO_LARGE and stays the next one.
   */
  tryReceiveInto(buffer: NodeJS.ArrayBufferView): number
  receiveInto(buffer: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<number>
  /**
   * Shows the next message in place to `callback`, and gives it back when that returns (or its
   * promise settles). Answers what the callback answers, or null when there is no message.
   */
  tryBorrow<R>(callback: (message: BorrowedMessage<T>) => R): R | null
  /** The same, as soon as there is a message; called at once if there is one already. */
  borrow<R>(callback: (message: BorrowedMessage<T>) => R, options?: WaitOptions): Promise<Awaited<R>>
  /** Counters since the open. */
  stats(): SubscriberStats
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>>
}

export interface SubscriberStats {
  received: number
  /** Payload bytes. */
  bytes: number
  missed: number
  /** Publishers' rings it reads from. */
  rings: number
  /** Samples borrowed now. */
  pinned: number
  /** Of these rings, those whose publishers have ended and that are still to be read out. */
  orphans: number
}

export const Subscriber: { readonly prototype: Subscriber }

export interface RegionOptions {
  /** Bytes; needed to create one, checked against an existing one. */
  size?: number
  /** Default `openOrCreate`. */
  create?: 'openOrCreate' | 'createNew' | 'open'
}

/** Raw shared memory. */
export interface Region extends Handle {
  /** Empty for a sealed region. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Whether this open created it. */
  readonly created: boolean
  /** Whether it may be written. */
  readonly writable: boolean
  /**
   * The memory itself. It stays mapped for as long as this Buffer or a slice of it is in use, also
   * after `close`. A read-only region throws AXONIC_UNSUPPORTED: use `read`.
   */
  readonly buffer: Buffer
  /** The descriptor of a sealed region, to be passed to another process. */
  readonly fd: number
  /** A copy of `length` bytes at `offset`; default: all. */
  read(offset?: number, length?: number): Buffer
  /** Copies `data` to `offset`. */
  write(offset: number, data: NodeJS.ArrayBufferView): void
}
export const Region: { readonly prototype: Region }

/** Nameless memory that nobody can change or resize any more. */
export function sealedRegion(data: NodeJS.ArrayBufferView): Region
/** The sealed region behind an inherited descriptor, which stays the caller's. */
export function regionFromFd(fd: number): Region

export interface RingOptions {
  /** Bytes of the largest message. */
  capacity?: number
  wait?: Wait
}

export interface RingStats {
  messages: number
  /** Times the producer waited for room. */
  blocked: number
  /** Written and not yet released, record headers included. */
  pendingBytes: number
  pendingMessages: number
  /** Times a sleeping consumer was woken. */
  wakesSent: number
  /** Messages for which the consumer had not to be woken. */
  wakesElided: number
}

/** The writing end of a ring. */
export interface RingProducer extends Handle {
  readonly name: string
  /** The pollable descriptor, readable when a push that found no room should be tried again. */
  readonly fd: number
  /** Pushes bytes now; a full ring throws AXONIC_WOULD_BLOCK. */
  push(data: NodeJS.ArrayBufferView): void
  /** Pushes bytes as soon as there is room; they must not be changed before the promise settles. */
  pushAsync(data: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<void>
  /** Lends `length` bytes of the ring itself; pushed when the callback returns, given up if it throws. */
  reserve<R>(length: number, callback: (array: Uint8Array) => R): R
  /** Counters since the ring was made; `pendingBytes` are written and not yet read. */
  stats(): RingStats
}
export const RingProducer: { readonly prototype: RingProducer }

/** The reading end of a ring; `for await` ends when the producer ended and all is read. */
export interface RingConsumer extends Handle, AsyncIterable<Buffer> {
  readonly name: string
  /** The pollable descriptor: readable until a call answered that there is nothing. */
  readonly fd: number
  /** The next message, or null. */
  tryPop(): Buffer | null
  /** Rejects with AXONIC_DISCONNECTED when the producer ended and all is read. */
  pop(options?: WaitOptions): Promise<Buffer>
  /** The next message into `buffer`; its length, or -1. */
  tryPopInto(buffer: NodeJS.ArrayBufferView): number
  popInto(buffer: NodeJS.ArrayBufferView, options?: WaitOptions): Promise<number>
  /** Shows the next message in place (read-only memory); null when there is none. */
  tryBorrow<R>(callback: (array: Readonly<Uint8Array>) => R): R | null
  borrow<R>(callback: (array: Readonly<Uint8Array>) => R, options?: WaitOptions): Promise<Awaited<R>>
  /** Counters since the ring was made; `pendingBytes` are written and not yet read. */
  stats(): RingStats
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>
}
export const RingConsumer: { readonly prototype: RingConsumer }

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

/** Whether to wait for the disk, which a queue in memory refuses; default: as the queue's `fsync` says. */
export interface DurableOptions extends WaitOptions {
  durable?: boolean
}

/** What a put gives: the message is in the queue, and survives the death of any process. */
export interface Receipt {
  /** Whether a message with this `dedupId` was put before, so that nothing was done now. */
  readonly duplicate: boolean
  /** With `result: true`, unless it is a duplicate. */
  readonly ticket: Ticket | null
}

/** A claim on what becomes of one message. Given up when it is collected; the message is worked on all the same. */
export interface Ticket<R = any> {
  /** How far the work is, from 0 to 1, as its consumer told. */
  readonly progress: number
  /**
   * The result the consumer gave, decoded as `value` of a job; undefined when it gave none. Rejects with
   * AXONIC_REJECTED, and the reason, when the message is a dead letter, with AXONIC_NOT_FOUND when somebody purged
   * it. Asked again, it answers the same.
   */
  result(options?: WaitOptions): Promise<R>
}
export const Ticket: { readonly prototype: Ticket }

export interface GetOptions {
  /** The job is this consumer's for so many milliseconds, and then somebody else's; default: until it is dead. */
  lease?: number
}

/**
 * A message taken from a queue: nobody else gets it until it is settled, its lease is over, or its process is dead.
 * `using` gives it back unless it was settled. Settling a job whose lease is over throws AXONIC_LEASE_LOST, settling
 * one twice AXONIC_CLOSED.
 */
export interface Job<T = unknown> {
  /** The queue's name. */
  readonly queue: string
  /** The payload. */
  readonly data: Buffer
  /** The payload by its content type, as `value` of a message. */
  readonly value: T
  readonly content: 'raw' | 'json' | 'msgpack' | 'tensor'
  /** CloudEvents attributes, if it has any. */
  readonly attributes: Readonly<Attributes> | null
  readonly tensor: TensorInfo | null
  /** 0 to 7. */
  readonly priority: number
  /** The number of this delivery of the message, from 1. */
  readonly attempt: number
  /** Greater for each later delivery of the same message, to tell a storage that a late writer is late. */
  readonly token: bigint
  /** Whether it was settled here. */
  readonly settled: boolean
  /** It is done with; `result` is for the producer that waits for it. Never waits for the disk. */
  ack(result?: unknown): void
  /**
   * The same; of a durable queue, it is on the disk when the promise resolves. Out of time, aborted, or
   * where the disk takes nothing, it is done with all the same.
   */
  ackAsync(result?: unknown, options?: DurableOptions): Promise<void>
  /** Gives it back, to be delivered again after `delay` milliseconds (default: at once). */
  nack(options?: { delay?: number }): void
  /** Nobody is to get it any more: it goes to the dead letters, with the reason. Of that, 4,096 bytes are kept. */
  reject(reason?: string): void
  /** From now on it is this consumer's for so many milliseconds. */
  extend(lease: number): void
  /** Tells the producer that waits for the result how far the work is, from 0 to 1. */
  progress(done: number): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}
export const Job: { readonly prototype: Job }

/** Thrown by the function of a worker: nobody is to get the job any more. Its text is the reason. */
export class Reject extends Error {}

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

export interface ChannelOptions {
  /** Bytes of the largest message, to send and to receive; default 16 MiB, at most 1 GiB. The smaller one of both ends counts. */
  maxMessage?: number
  wait?: Wait
}

export interface ConnectOptions extends ChannelOptions, WaitOptions {
  /** Connects anew when the other end is gone. What was sent and not received is lost then. */
  reconnect?: boolean
}

/** What a transport can do. */
export interface Can {
  /** All that is sent arrives, once, unless the other end is gone. */
  readonly reliable: boolean
  /** Messages arrive in the order in which they were sent. */
  readonly ordered: boolean
  /** Messages arrive as they were sent; otherwise it is a stream of bytes. */
  readonly messages: boolean
  /** Who sends faster than is received is made to wait; otherwise messages are lost. */
  readonly backPressure: boolean
  /** The other end is told when this one has ended. */
  readonly end: boolean
  /** An end can say that it will send nothing more and go on receiving. */
  readonly halfClose: boolean
  /** Open descriptors can be passed. */
  readonly descriptors: boolean
  /** The kernel tells who is at the other end. */
  readonly credentials: boolean
}

/** Who is at the other end, as far as the kernel tells. */
export interface Peer {
  readonly pid: number | null
  readonly uid: number | null
  readonly gid: number | null
  /** Its socket's address, or its label in a domain. */
  readonly address: string | null
}

export interface ChannelStats {
  sentMessages: number
  sentBytes: number
  receivedMessages: number
  receivedBytes: number
  /** Sends that found no room. */
  blocked: number
}

/** A message that was received. */
export interface ChannelMessage {
  readonly data: Buffer
  /** Open descriptors that were passed with it, for the receiver to close. */
  readonly descriptors: readonly number[]
}

type Binary = NodeJS.ArrayBufferView | ArrayBufferLike

export interface SendOptions {
  /** Open descriptors of which the other end gets copies (Unix sockets). */
  descriptors?: readonly number[]
}

/** One end of a channel: messages both ways, whatever carries them. */
export interface Channel extends Handle, AsyncIterable<ChannelMessage> {
  /** The address it was opened by. */
  readonly address: string
  readonly can: Can
  readonly peer: Peer
  /** Bytes of the largest message it takes. */
  readonly maxMessage: number
  /** The pollable descriptor, readable when something may have come. */
  readonly fd: number
  /** Sends now; where there is no room it throws AXONIC_WOULD_BLOCK. */
  send(data: Binary, options?: SendOptions): void
  /** Sends as soon as there is room. */
  sendAsync(data: Binary, options?: SendOptions & WaitOptions): Promise<void>
  /** Sends one after another as soon as there is room, which costs less than one by one. */
  sendMany(messages: Iterable<Binary>, options?: WaitOptions): Promise<void>
  /** Waits until all that was sent has gone out. */
  flush(options?: WaitOptions): Promise<void>
  /** Says that nothing more will be sent, once all that was has gone out. The other end may still send. */
  finish(options?: WaitOptions): Promise<void>
  /** The next message, or null. */
  tryReceive(): ChannelMessage | null
  /** The next message; AXONIC_DISCONNECTED when the other end has ended and all is received. */
  receive(options?: WaitOptions): Promise<ChannelMessage>
  stats(): ChannelStats
}
export const Channel: { readonly prototype: Channel }

/** Where channels are listened for. */
export interface Listener extends Handle, AsyncIterable<Channel> {
  /** The address, with what the system chose. */
  readonly address: string
  /** The pollable descriptor, readable when somebody may have connected. */
  readonly fd: number
  /** The next channel that somebody opened, or null. */
  tryAccept(): Channel | null
  /** The next channel that somebody opens. */
  accept(options?: WaitOptions): Promise<Channel>
}
export const Listener: { readonly prototype: Listener }

/**
 * Answers calls of a method. What it returns, or resolves with, is the result (nothing: null); a generator streams, and what
 * it returns is the result. What it throws fails the call: a `Status` as it says, anything else with the code UNKNOWN.
 */
export type Handler = (params: any, ctx: Context) => unknown

/** What a handler knows about its call. */
export interface Context {
  readonly service: string
  readonly method: string
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  readonly cancelled: boolean
  /** Milliseconds that the caller still waits; Infinity: as long as it takes. */
  readonly remaining: number
  readonly caller: Peer
  /** What the caller sent beside its parameters; null if there is nothing. */
  readonly attributes: Attributes | null
  /** The trace the call belongs to; calls that the handler makes carry it on. */
  readonly traceparent: string | null
  /** What the caller streams, in order. */
  readonly input: AsyncIterableIterator<any>
  /** Tells the caller how far the work is, from 0 to 1. */
  progress(fraction: number, note?: string): void
  /** Tells the program's logger something about the call: see `setLogger`. */
  log(level: LogLevel, message: string): void
}

/** Thrown by a handler: says exactly how the call failed. */
export class Status extends Error {
  constructor(code: CallCode, message: string, options?: ErrorOptions & {
    reason?: string
    details?: unknown
    /** Default: whether the code is UNAVAILABLE. */
    retryable?: boolean
  })
  code: CallCode
  reason: string
  details: unknown
  retryable: boolean
}

export interface ServiceOptions extends ChannelOptions {
  /** Calls that may be at work at the same time; the others wait. Default 64. */
  concurrency?: number
}

/**
 * A service that this process provides. With `wait: 'spin'` it polls for calls in every turn of the event loop, some 50 us,
 * and uses a processor up.
 */
export interface Service extends Handle {
  readonly name: string
  readonly version: string
  /** Calls that are at work. */
  readonly atWork: number
  /** Has it called at an address too, by clients of other domains or machines; the address, with what the system chose. */
  listen(address: string): string
}
export const Service: { readonly prototype: Service }

export interface ClientOptions extends ChannelOptions {
  /** Where the service is, as a channel's address; default: at whoever provides it in the domain. */
  address?: string
}

export interface CallOptions extends WaitOptions {
  /** CloudEvents attributes that travel with the parameters; `traceparent` names the trace that the call belongs to. */
  attributes?: Attributes
  /** How the parameters are encoded; default: bytes raw, tensors as tensors, anything else as JSON. */
  content?: 'raw' | 'json' | 'msgpack'
  /** Streamed to the service as it takes it. */
  input?: Iterable<unknown> | AsyncIterable<unknown>
  /** Hears how far the work is. */
  progress?: (fraction: number, note: string) => void
}

/**
 * Items that a service streams; the call begins when the first is asked for, and is given up when none is wanted any more.
 * The value at its end is the result.
 */
export interface CallStream<T = any, R = any> extends AsyncIterableIterator<T> {
  next(): Promise<IteratorResult<T, R>>
  return(value?: any): Promise<IteratorResult<T, any>>
  [Symbol.asyncDispose](): Promise<void>
}

/** Any method of any name. */
export type AnyMethods = Record<string, (params?: any) => any>

type ParamsOf<F> = F extends (params: infer P, ...rest: any[]) => unknown ? P : never
type Returned<F> = F extends (...all: any[]) => infer R ? Awaited<R> : never
type ItemOf<F> = Returned<F> extends AsyncIterable<infer T> | Generator<infer T> ? T : any
type ResultOf<F> = Returned<F> extends AsyncGenerator<any, infer R> | Generator<any, infer R> ? R : Returned<F>
type ArgumentsOf<F> = unknown extends ParamsOf<F>
  ? [params?: ParamsOf<F>, options?: CallOptions]
  : [params: ParamsOf<F>, options?: CallOptions]

/** A method as its callers have it. */
export interface RemoteMethod<F = (params?: any) => any> {
  (...all: ArgumentsOf<F>): Promise<ResultOf<F>>
  /** Calls it as one that streams. */
  stream(...all: ArgumentsOf<F>): CallStream<ItemOf<F>, ResultOf<F>>
}

export type RemoteMethods<S> = { readonly [M in Exclude<keyof S, keyof Client>]: RemoteMethod<S[M]> }

/**
 * Calls a service, at any of its providers. Failures of calls have a `status`; that nobody provides the service rejects at
 * once with AXONIC_UNAVAILABLE. With `wait: 'spin'` a call looks for its result for some 50 us before it leaves that to the
 * event loop.
 */
export interface Client extends Handle {
  readonly service: string
  /** Calls that are under way. */
  readonly underWay: number
  /** The pollable descriptor, readable when something came for a call. */
  readonly fd: number
  /** Calls a method of any name. */
  call(method: string, params?: any, options?: CallOptions): Promise<any>
  /** Calls a method of any name that streams its results. */
  stream(method: string, params?: any, options?: CallOptions): CallStream
}
export const Client: { readonly prototype: Client }

/** Who has a lock, or something of it. */
export interface LockHolder {
  /** As its own pid namespace numbers it; 0, and `label` '', where nothing is known of it any more. */
  readonly pid: number
  readonly label: string
  /** Milliseconds since 1970, as of `Date.now()`; null where that is not known. */
  readonly since: number | null
  /** If not, it died, and nobody has taken the lock since. */
  readonly alive: boolean
  /** By a signal or a debugger. */
  readonly stopped: boolean
  /** `owner`: it has the mutex, or writes; `permit`: of a semaphore, one of each; `party`: it waits at a barrier. */
  readonly role: 'owner' | 'reader' | 'permit' | 'party'
}

export interface LockOptions {
  wait?: Wait
}

/**
 * What a task has of a lock until it releases it: `await using held = await ax.mutex('gpu').acquire()`. Forgotten, it is
 * held until the lock is closed or its process ends.
 */
export interface Held {
  /** The owner before died while it had it: what the lock protects may be half-changed. Never of a semaphore. */
  readonly ownerDied: boolean
  /** Gives it back; a second time, or once the lock was closed, throws AXONIC_CLOSED. The end of a block does not. */
  release(): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}
export const Held: { readonly prototype: Held }

/**
 * A mutex between processes, and between the tasks of this one, which get it in the order in which they ask. Between
 * processes it is not fair: whoever gives it back and wants it again at once mostly gets it before one that sleeps for it. If
 * its owner dies, who gets it next is told.
 */
export interface Mutex extends Handle {
  readonly name: string
  /** Whether a task of this thread has it. */
  readonly locked: boolean
  acquire(options?: WaitOptions): Promise<Held>
  /** undefined: somebody alive has it, or waits for it here. */
  tryAcquire(): Held | undefined
}
export const Mutex: { readonly prototype: Mutex }

/**
 * A lock that many read, or one writes, between processes and between tasks. One that waits to write stops those who come
 * to read. If a writer dies while it writes, who writes next, or the first to read, is told.
 */
export interface RwLock extends Handle {
  readonly name: string
  read(options?: WaitOptions): Promise<Held>
  write(options?: WaitOptions): Promise<Held>
  /** undefined: somebody alive writes, or waits to, or waits here to read. */
  tryRead(): Held | undefined
  /** undefined: somebody alive has it, or waits here to write. */
  tryWrite(): Held | undefined
}
export const RwLock: { readonly prototype: RwLock }

/** A number of permits. Those of a process that dies come back by themselves. */
export interface Semaphore extends Handle {
  readonly name: string
  readonly permits: number
  /** How many permits nobody alive has. */
  readonly available: number
  acquire(options?: WaitOptions): Promise<Held>
  /** undefined: all permits are had by somebody alive, or somebody waits for one here. */
  tryAcquire(): Held | undefined
}
export const Semaphore: { readonly prototype: Semaphore }

export interface EventOptions extends LockOptions {
  /** Whether the first one that waited for it clears it, so that only that one passes; default: `clear` does. */
  autoReset?: boolean
}

/** An event: set or clear. It belongs to nobody, and is gone when nobody has it open. */
export interface Event extends Handle {
  readonly name: string
  readonly autoReset: boolean
  readonly isSet: boolean
  /** Everybody who waits passes, however soon it is cleared, or (`autoReset`) one of them, or the next to come. */
  set(): void
  clear(): void
  wait(options?: WaitOptions): Promise<void>
  /** Whether it is set; if so (`autoReset`), clears it. */
  tryWait(): boolean
}
export const Event: { readonly prototype: Event }

/** A meeting point: whoever arrives waits until so many have. One that dies has not arrived. */
export interface Barrier extends Handle {
  readonly name: string
  readonly parties: number
  /** How many have arrived and wait, in all processes. */
  readonly waiting: number
  /**
   * Arrives, and waits until all have; each wait of a task is a party. true for the last one, of which there is one each
   * time. Out of time or aborted, it has not arrived.
   */
  wait(options?: WaitOptions): Promise<boolean>
}
export const Barrier: { readonly prototype: Barrier }

/** Waits for many things at once; `Token` is what it reports for each. */
export interface WaitSet<Token = unknown> extends Handle {
  /** Members. */
  readonly size: number
  /** The pollable descriptor, for other event loops. */
  readonly fd: number
  /**
   * Reports `token` (default: the handle) while a subscriber has messages, or a publisher that found
   * no room should try again. A new member may be reported at once: it has not been asked yet.
   */
  add(handle: Subscriber<any> | Publisher<any>, token?: Token): this
  /** Reports `token` (default: the descriptor) while a descriptor is readable. */
  addFd(fd: number, token?: Token): this
  /** Reports `token` every `period` milliseconds. */
  addTimer(period: number, token: Token): this
  /** Forgets everything added with `token`. */
  remove(token: Token): this
  /** The tokens that are ready now. */
  ready(): Token[]
  /** The tokens that are ready as soon as there are some; none when the time runs out. */
  wait(options?: WaitOptions): Promise<Token[]>
}
export const WaitSet: { new <Token = unknown>(): WaitSet<Token>, readonly prototype: WaitSet }
