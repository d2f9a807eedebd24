/// <reference types="node" />

/**
 * Local IPC at shared-memory speed. A domain is a named place on this machine; processes in any
 * language open it and exchange messages through topics, regions and rings.
 *
 * Conventions: times are milliseconds; nothing blocks the event loop; calls whose name begins with
 * `try` answer null (or -1) at once, calls that return a promise wait in the event loop, without a
 * thread; received data is the receiver's copy, and zero-copy views live only inside callbacks.
 * Every handle belongs to the thread (main or Worker) that opened it. An idle handle does not keep
 * the process alive; a pending wait does.
 */

/** The kinds of error, with the stable names all languages share. */
export type ErrorKind =
  | 'InvalidArgument' | 'InvalidName' | 'NotFound' | 'AlreadyExists' | 'PermissionDenied' | 'Timeout'
  | 'WouldBlock' | 'Closed' | 'Disconnected' | 'TooLarge' | 'Full' | 'LimitReached' | 'NoSpace'
  | 'LayoutMismatch' | 'Corrupt' | 'Forked' | 'Busy' | 'InUse' | 'Interrupted' | 'Unsupported'
  | 'Decode' | 'Io'

/** `err.code` of each kind. */
export type ErrorCode =
  | 'AXONIC_INVALID_ARGUMENT' | 'AXONIC_INVALID_NAME' | 'AXONIC_NOT_FOUND' | 'AXONIC_ALREADY_EXISTS'
  | 'AXONIC_PERMISSION_DENIED' | 'AXONIC_TIMEOUT' | 'AXONIC_WOULD_BLOCK' | 'AXONIC_CLOSED'
  | 'AXONIC_DISCONNECTED' | 'AXONIC_TOO_LARGE' | 'AXONIC_FULL' | 'AXONIC_LIMIT_REACHED'
  | 'AXONIC_NO_SPACE' | 'AXONIC_LAYOUT_MISMATCH' | 'AXONIC_CORRUPT' | 'AXONIC_FORKED' | 'AXONIC_BUSY'
  | 'AXONIC_IN_USE' | 'AXONIC_INTERRUPTED' | 'AXONIC_UNSUPPORTED' | 'AXONIC_DECODE' | 'AXONIC_IO'

/** Every failure; the message names the object, what happened, the limit and the remedy. */
export class AxonicError extends Error {
  constructor(kind: ErrorKind, message: string, options?: ErrorOptions)
  /** What to branch on. */
  readonly code: ErrorCode
  /** The same, as the other languages name it. */
  readonly kind: ErrorKind
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
  /** Removes a region, or what is left of a topic or ring that nobody alive holds. */
  unlink(noun: 'topic' | 'region' | 'ring', name: string): void
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
