// Written by scripts/build.mjs from the crate; do not edit.

/** What a consumer gave as the result of a message. */
export interface Answer {
  /** Its bytes; none if the consumer gave none. */
  data: Buffer
  /** Their content type's number. */
  content: number
  /** The element type of a tensor. */
  dtype?: string
  /** The shape of a tensor. */
  shape?: Array<number>
}

/** The native barrier behind the facade's. */
export class Barrier {
  /** One more party, which has not arrived yet. */
  party(): Party
  /** How many have arrived and wait. */
  waiting(): number
  /** Ends it. A second time does nothing. */
  close(): void
}

/** Which ids of messages are remembered. */
export interface DedupSettings {
  /** So many. */
  count?: number
  /** For so many milliseconds. */
  within?: number
}

/** An open domain: one participant. */
export class Domain {
  /** Opens or creates it. */
  static open(settings: DomainSettings, scratch: Scratch): Domain
  /** Its name. */
  name(): string
  /** Its directory. */
  path(): string
  /** This open, as `slot.epoch`. */
  participant(): string
  /** Ends the participant; its handles answer Closed afterwards. */
  close(): void
  /** Whether it was closed. */
  isClosed(): boolean
  /** Opens a publisher. */
  publisher(topic: string, settings: PublisherSettings): Publisher
  /** Opens a subscriber. */
  subscriber(pattern: string, settings: SubscriberSettings): Subscriber
  /** Opens or creates a region. */
  region(name: string, settings: RegionSettings): Region
  /** Opens the writing end of a ring. */
  ringProducer(name: string, settings: RingSettings): RingProducer
  /** Opens the reading end of a ring. */
  ringConsumer(name: string, settings: RingSettings): RingConsumer
  /** Opens or creates a queue. */
  queue(name: string, settings: QueueSettings): Queue
  /** Opens or creates a mutex. */
  mutex(name: string, settings: LockSettings): any
  /** Opens or creates a lock for readers and writers. */
  rwlock(name: string, settings: LockSettings): RwLock
  /** Opens a semaphore, or creates it with so many permits. */
  semaphore(name: string, permits: number, settings: LockSettings): Semaphore
  /** Opens or creates an event, which (`auto_reset`) the first one that waited for it clears. */
  event(name: string, autoReset: boolean, settings: LockSettings): Event
  /** Opens a barrier, or creates it for so many parties. */
  barrier(name: string, parties: number, settings: LockSettings): Barrier
  /** Who has this lock, of any type. */
  lockHolders(name: string): Array<LockHolder>
  /** Removes a region, or what is left of a topic, ring, queue or lock. */
  unlink(noun: string, name: string): void
}

/** How to open a domain; what is missing takes the core's default. */
export interface DomainSettings {
  /** Its name; default `AXONIC_DOMAIN` or `default`. */
  name?: string
  /** Where its files live. */
  runtimeDir?: string
  /** Permission bits of a group's domain. */
  mode?: number
  /** Group id of a group's domain. */
  group?: number
  /** Participants the domain has room for, when this call creates it. */
  maxParticipants?: number
  /** Bytes the domain's objects may take together, when this call creates it. */
  quota?: number
  /** Bytes each participant's objects may take, when this call creates it. */
  participantQuota?: number
  /** Where durable queues are kept. */
  dataDir?: string
  /** What `axonic ls` calls this participant. */
  label?: string
}

/** One row of the core's error table. */
export interface ErrorRow {
  /** The stable number. */
  number: number
  /** The kind's name, such as `Timeout`. */
  name: string
  /** `err.code`, such as `AXONIC_TIMEOUT`. */
  code: string
}

/** The native event behind the facade's. */
export class Event {
  /** Those who wait for it. */
  line(): LockLine
  /** Sets it. */
  set(): void
  /** Clears it. */
  clear(): void
  /** Whether it is set. */
  isSet(): boolean
  /** Ends it. A second time does nothing. */
  close(): void
}

/** A core error that the facade throws, or rejects a promise with. */
export interface Failure {
  /** The kind's name. */
  kind: string
  /** What happened. */
  message: string
}

/** Who has a lock, or something of it. */
export interface LockHolder {
  /** Its process; 0 where nothing is known of it any more. */
  pid: number
  /** Its label. */
  label: string
  /** Since when, in milliseconds since 1970; none where that is not known. */
  since?: number
  /** Whether it is alive. */
  alive: boolean
  /** Whether it is stopped by a signal or a debugger. */
  stopped: boolean
  /** `owner`, `reader`, `permit` or `party`. */
  role: string
}

/** The native half of the facade's line. */
export class LockLine {
  /** `()`: tries for somebody who waits; 0: there is nothing yet, 2: there is, and the owner before died. */
  bindAttempt(): () => number
  /** `()`: the same for somebody who does not wait. */
  bindAttemptOnce(): () => number
  /** The descriptor that is readable when whoever waits should try again; it tells nothing before the next attempt. */
  fd(): number
  /** Nobody waits any more. */
  giveUp(): void
  /** What is said to who is out of time. */
  timedOut(milliseconds: number): Failure
}

/** How to open a lock; what is missing takes the core's default. */
export interface LockSettings {
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** One thing that happened. */
export interface LogRecord {
  /** `debug`, `info` or `warn`. */
  level: string
  /** The noun, its name, what happened. */
  message: string
}

/** The native mutex behind the facade's. */
export class Mutex {
  /** Those who want it. */
  line(): LockLine
  /** `()`: gives it back. */
  bindRelease(): () => undefined
  /** Whether a task of this thread has it. */
  locked(): boolean
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}

/** Somebody who waits at a barrier. */
export class Party {
  /** The descriptor that is readable when it is worth asking again. */
  fd(): number
  /** Arrives, unless it has; whether it was the last, or (`null`) not all have arrived. */
  attempt(): boolean | null
  /** Takes back that it arrived; `false`: it has not, or all have by now. */
  withdraw(): boolean
  /** How many have arrived and wait. */
  waiting(): number
  /** What is said to one that is out of time. */
  timedOut(milliseconds: number): Failure
  /** Is no party any more. */
  leave(): void
}

/** One payload of `publishMany`. */
export interface PayloadItem {
  /** Its bytes. */
  data: Uint8Array
  /** The rest. */
  parts: PayloadParts
}

/** What rides along with a payload beside its bytes. */
export interface PayloadParts {
  /** The content type's number. */
  content: number
  /** The element type of a tensor. */
  dtype?: string
  /** The shape of a tensor. */
  shape?: Array<number>
  /** CloudEvents attributes: name, value, name, value. */
  attributes?: Array<string>
}

/** A message as it was when somebody looked at it. */
export interface PeekedMessage {
  /** Its bytes. */
  data: Buffer
  /** Their content type's number. */
  content: number
  /** 0 to 7. */
  priority: number
  /** How often it was delivered. */
  attempts: number
  /** Why it is dead. */
  reason?: string
  /** The same in words; empty if there are none. */
  reasonText: string
}

/**
 * Watches one descriptor for readability in the event loop.
 * 
 * Level-triggered: the callback comes again in every turn of the loop for as long as the
 * descriptor stays readable and the watch is started. It keeps the process alive only while held.
 */
export class Poll {
  /** Watches a duplicate of `fd`; nothing is called before `start`. */
  constructor(fd: number, callback: () => void)
  /** Starts the calls. */
  start(): void
  /** Stops the calls. */
  stop(): void
  /** `(hold)`: while held, the process stays alive and the callback is not collected. */
  bindHold(): (hold: 0 | 1) => undefined
  /** Stops for good. */
  close(): void
}

/** The native publisher behind the facade's. */
export class Publisher {
  /** The publisher's identity. */
  id(): bigint
  /** `(view, flags)`: sends a view's bytes. */
  bindSend(): (view: Uint8Array, flags: number) => false | undefined
  /** `(view, flags)`: sends a view's bytes as the tensor described in row 0 of the table. */
  bindSendTensor(): (view: NodeJS.ArrayBufferView, flags: number) => false | undefined
  /** `(length, flags)`: sends the first bytes of the scratch. */
  bindSendScratch(): (length: number, flags: number) => false | undefined
  /**
  * `(count, quiet)`: sends messages packed one after another into the scratch, all or none;
  * row i of the table describes the i-th.
  */
  bindSendPacked(): (count: number, quiet: 0 | 1) => false | undefined
  /** Sends one payload with a tensor description or attributes; `false` when quiet and full. */
  sendParts(data: Uint8Array, parts: PayloadParts, quiet: boolean): boolean
  /** Sends all or nothing; `false` when quiet and full. */
  sendMany(items: Array<PayloadItem>, quiet: boolean): boolean
  /**
  * Lends `length` bytes of shared memory as an `ArrayBuffer`; the ticket is in the table. `null`
  * when quiet and full.
  */
  loan(length: number, quiet: boolean): ArrayBuffer | null
  /**
  * Publishes a loan and ends its view; `false` when quiet and full, and then the loan waits for
  * another commit (or `abort`).
  */
  commit(ticket: number, buffer: ArrayBuffer, parts: PayloadParts, quiet: boolean): boolean
  /** Gives a loan back unpublished and ends its view. */
  abort(ticket: number, buffer: ArrayBuffer): void
  /**
  * Whether `count` subscribers would hear the next message; if not, the descriptor becomes
  * readable when it is worth asking again.
  */
  heardBy(count: number): boolean
  /** Live matched subscribers now. */
  subscribers(): number
  /** The descriptor that is readable when a publish that found no room should be tried again. */
  fd(): number
  /** Counters. */
  stats(): PublisherStats
  /** Ends the publisher; a second time does nothing. */
  close(): void
}

/** How to open a publisher; what is missing takes the core's default. */
export interface PublisherSettings {
  /** `dropOldest`, `block` or `reject`. */
  overflow?: string
  /** Bytes of the ring. */
  capacity?: number
  /** Budget in bytes for large payloads. */
  maxBytes?: number
  /** Keep what was sent after this publisher ends. */
  retain?: boolean
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a publisher. */
export interface PublisherStats {
  /** Messages published. */
  published: number
  /** Payload bytes published. */
  bytes: number
  /** Times a publish waited for room. */
  blocked: number
  /** Sleepers woken. */
  wakesSent: number
  /** Messages for which nobody had to be woken. */
  wakesElided: number
  /** Live matched subscribers. */
  subscribers: number
  /** Bytes of shared memory for large payloads. */
  slabBytes: number
  /** Slots of that memory which readers have pinned now. */
  pinned: number
  /** Finished publishers of this topic whose rings still wait for a reader, or are retained. */
  orphans: number
  /** Those of which only the count is left, for subscribers that are still to be told what they missed. */
  remnants: number
}

/** How to put a message. */
export interface PutSettings {
  /** 0 to 7. */
  priority?: number
  /** Milliseconds before it is delivered. */
  delay?: number
  /** Milliseconds after which it is a dead letter. */
  ttl?: number
  /** A message with this id is put only once. */
  dedupId?: string
  /** Whether there is to be a ticket. */
  result?: boolean
}

/** The native queue behind the facade's. */
export class Queue {
  /**
  * `(lease)`: takes the next message for so many milliseconds, or (-1) without an end; row 0 of the table says what
  * it is. 0: there is none.
  */
  bindGet(): (lease: number) => number
  /** `(number, view)`: fetches a job's bytes into a view of their length. */
  bindTake(): (number: number, view: Uint8Array) => undefined
  /** `(number)`: a job is done with. */
  bindAck(): (number: number) => undefined
  /** The attributes of a job: name, value, name, value. */
  attributes(number: number): Array<string>
  /** A job is done with; `data` is what its producer gets that waits for it. */
  finish(number: number, data: Uint8Array, parts: PayloadParts): void
  /** Gives a job back, for after so many milliseconds. */
  giveBack(number: number, delay: number): void
  /** Nobody is to get a job any more. */
  reject(number: number, reason: string): void
  /** From now on a job is this consumer's for so many milliseconds. */
  extend(number: number, lease: number): void
  /** Tells how far the work on a job is. */
  progress(number: number, done: number): void
  /** Whether what happens is to be on the disk at once; `null` for a queue in memory only. */
  waitsForDisk(): boolean | null
  /** `(view, flags)`: puts a view's bytes; `false` when quiet and full. */
  bindPut(): (view: Uint8Array, flags: number) => false | undefined
  /** `(length, flags)`: puts the first bytes of the scratch. */
  bindPutScratch(): (length: number, flags: number) => false | undefined
  /** Throws if a payload does not satisfy the schema. */
  check(data: Uint8Array, parts: PayloadParts): void
  /** Puts one payload; whether it is a duplicate, or `null` when quiet and full. */
  putParts(data: Uint8Array, parts: PayloadParts, settings: PutSettings, quiet: boolean): boolean | null
  /** The ticket of the last put, if it has one. */
  ticket(): Ticket | null
  /** Up to `max` messages that can be delivered now. */
  peek(max: number): Array<PeekedMessage>
  /** Up to `max` dead letters. */
  deadLetters(max: number): Array<PeekedMessage>
  /** Takes all messages away that nobody has, or all dead letters. How many. */
  purge(dead: boolean): number
  /** Lets up to `max` dead letters be delivered again. How many. */
  redrive(max: number): number
  /** Deliveries of one message before it is a dead letter, as whoever made the queue decided; 0: no limit. */
  maxAttempts(): number
  /** What is in it, and counters. */
  stats(): QueueStats
  /** What fills it, and what makes room in it. */
  whyFull(): Array<string>
  /** Has a thread wait until all that was put and settled before is on the disk. */
  sync(): Promise<Failure | null>
  /** The pollable descriptor of the consuming side; readable until `get` answered that there is nothing. */
  fd(): number
  /** The descriptor that is readable when a put that found no room should be tried again. */
  roomFd(): number
  /** The same for puts with a ticket, and readable when there may be news of a ticket. */
  ticketFd(): number
  /** Ends both sides: jobs that are not settled go back, tickets are given up. A second time does nothing. */
  close(): void
}

/** How to open a queue; what is missing takes the core's default. */
export interface QueueSettings {
  /** Messages it can hold. */
  capacity?: number
  /** Bytes of messages over 128 bytes it can hold together. */
  maxBytes?: number
  /** Deliveries of one message before it is a dead letter. */
  maxAttempts?: number
  /** Whether what is in it survives a reboot. */
  durable?: boolean
  /** `always`, `interval` or `never`. */
  fsync?: string
  /** Milliseconds between syncs. */
  fsyncInterval?: number
  /** Which ids of messages are remembered. */
  dedup?: DedupSettings
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** What is in a queue, and counters. */
export interface QueueStats {
  /** Messages to be delivered now. */
  ready: number
  /** Messages for later. */
  delayed: number
  /** Messages that consumers have. */
  leased: number
  /** Results that producers have not fetched. */
  done: number
  /** Dead letters. */
  dead: number
  /** Messages it can hold. */
  capacity: number
  /** Bytes of messages over 128 bytes, in the parts they are stored in. */
  bytes: number
  /** The most there can be of these. */
  maxBytes: number
  /** Messages put. */
  put: number
  /** Messages handed out. */
  delivered: number
  /** Messages acknowledged. */
  acked: number
  /** Deliveries given back. */
  returned: number
  /** Messages that became dead letters. */
  buried: number
  /** Times a producer had to wait for room. */
  blocked: number
  /** Bells rung for sleeping consumers. */
  wakesSent: number
}

/** The native region behind the facade's. */
export class Region {
  /**
  * Nameless memory that nobody can change or resize any more; its descriptor can be handed to
  * another process.
  */
  static sealed(data: Uint8Array): Region
  /** The sealed region behind an inherited descriptor, which stays open and the caller's. */
  static fromFd(fd: number): Region
  /** Its name; empty for a sealed region. */
  name(): string
  /** Bytes. */
  size(): number
  /** Whether this call created it. */
  isCreated(): boolean
  /** Whether it may be written. */
  writable(): boolean
  /** The descriptor of a sealed region. */
  fd(): number
  /** The memory itself, as an `ArrayBuffer` that keeps it mapped. */
  memory(): ArrayBuffer
  /** Copies from `offset` into `target`. */
  read(offset: number, target: Uint8Array): void
  /** Copies `source` to `offset`. */
  write(offset: number, source: Uint8Array): void
  /** Lets go of it; a second time does nothing. Buffers over it stay valid. */
  close(): void
}

/** How to open a region. */
export interface RegionSettings {
  /** Bytes; needed to create, checked otherwise. */
  size?: number
  /** `openOrCreate`, `createNew` or `open`. */
  create?: string
}

/** The native reading end behind the facade's. */
export class RingConsumer {
  /**
  * `()`: the next message into the scratch; answers its length, or -1. One longer than the
  * scratch stays for `popInto`.
  */
  bindPop(): () => number
  /**
  * `(view)`: the next message into a view; answers its length, or -1. One longer than the view
  * stays for a larger one.
  */
  bindPopInto(): (view: NodeJS.ArrayBufferView) => number
  /** The next message in place, as an `ArrayBuffer`; `null` when there is none. */
  borrow(): ArrayBuffer | null
  /** Ends a view and gives the message's room back. */
  finish(buffer: ArrayBuffer, shared: boolean): void
  /** The pollable descriptor; readable until a call answered that there is nothing. */
  fd(): number
  /** Counters. */
  stats(): RingStats
  /** Whether a borrow callback is still running. */
  inUse(): boolean
  /** Ends the consumer; a second time does nothing. */
  close(): void
}

/** The native writing end behind the facade's. */
export class RingProducer {
  /** `(view, quiet)`: pushes a view's bytes. */
  bindPush(): (view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | undefined
  /** Reserves `length` bytes in place, as an `ArrayBuffer`. */
  reserve(length: number): ArrayBuffer
  /** Publishes a reservation and ends its view; without `commit` it is only given up. */
  finish(buffer: ArrayBuffer, commit: boolean): void
  /** The descriptor that is readable when a push that found no room should be tried again. */
  fd(): number
  /** Counters. */
  stats(): RingStats
  /** Whether a reserve callback is still running. */
  inUse(): boolean
  /** Ends the producer; a second time does nothing. */
  close(): void
}

/** How to open a ring; what is missing takes the core's default. */
export interface RingSettings {
  /** Bytes of the largest message. */
  capacity?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a ring. */
export interface RingStats {
  /** Messages written since the ring was made. */
  messages: number
  /** Times the producer waited for room. */
  blocked: number
  /** Bytes written and not yet released. */
  pendingBytes: number
  /** Messages written and not yet released. */
  pendingMessages: number
  /** Times a sleeping consumer was woken. */
  wakesSent: number
  /** Messages for which the consumer had not to be woken. */
  wakesElided: number
}

/** The native readers' and writers' lock behind the facade's. */
export class RwLock {
  /** Those who want to read. */
  readers(): LockLine
  /** Those who want to write. */
  writers(): LockLine
  /** `()`: gives it back, however it was had. */
  bindRelease(): () => undefined
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}

/** The scratch of one facade. */
export class Scratch {
  /** Keeps both arrays; the caller never detaches them. */
  constructor(bytes: Uint8Array, table: Float64Array)
}

/** The native semaphore behind the facade's. */
export class Semaphore {
  /** Those who want a permit. */
  line(): LockLine
  /** `()`: gives a permit back. */
  bindRelease(): () => undefined
  /** How many permits nobody alive has. */
  available(): number
  /** Gives back what is held and ends it. A second time does nothing. */
  close(): void
}

/** Who sent a message: what is the same for all messages of one publisher, fetched once. */
export interface Source {
  /** Its topic. */
  topic: string
  /** Its identity. */
  publisher: bigint
}

/** The native subscriber behind the facade's. */
export class Subscriber {
  /** The subscriber's identity. */
  id(): bigint
  /**
  * `(max, has)`: announces up to `max` messages in the table; answers how many. An error waits for
  * the next call of a caller that has messages already.
  */
  bindNext(): (max: number, has: number) => number
  /** `(view)`: one message's bytes into a view; answers the length, or -1. */
  bindNextInto(): (view: NodeJS.ArrayBufferView) => number
  /** The publisher with this number. */
  source(number: number): Source
  /** The attributes of the held message: name, value, name, value. */
  attributes(): Array<string>
  /** `(view)`: fetches the held message into a view of its length. */
  bindTake(): (view: Uint8Array) => undefined
  /** The next message in place, as an `ArrayBuffer`; row 0 of the table says the rest. `null` when there is none. */
  borrow(): ArrayBuffer | null
  /** The attributes of a borrowed message. */
  borrowedAttributes(ticket: number): Array<string>
  /** Ends a view and gives the message back. */
  release(ticket: number, buffer: ArrayBuffer, shared: boolean): void
  /** Live matched publishers now. */
  publishers(): number
  /** Messages missed so far. */
  missed(): number
  /** The pollable descriptor; readable until a call answered that there is nothing. */
  fd(): number
  /** Counters. */
  stats(): SubscriberStats
  /** Ends the subscriber; a second time does nothing. Views still open stay valid. */
  close(): void
}

/** How to open a subscriber; what is missing takes the core's default. */
export interface SubscriberSettings {
  /** `latest` or `oldest`. */
  start?: string
  /** Samples that may be borrowed at once. */
  maxBorrowed?: number
  /** JSON Schema, as text, that every value must satisfy. */
  schema?: string
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Counters of a subscriber. */
export interface SubscriberStats {
  /** Messages received. */
  received: number
  /** Payload bytes received. */
  bytes: number
  /** Messages missed. */
  missed: number
  /** Publishers' rings attached. */
  rings: number
  /** Samples borrowed now. */
  pinned: number
  /** Of these rings, those whose publishers have ended and that are still to be read out. */
  orphans: number
}

/** The native ticket behind the facade's. When that is collected, the claim is given up. */
export class Ticket {
  /**
  * What became of the message; `null`: nothing yet. With `arm`, the descriptor of the queue's tickets is silent
  * afterwards until there may be news of any of them.
  */
  look(arm: boolean): Answer | null
  /** How far the work is, from 0 to 1. */
  progress(): number
}

/** The native wait set behind the facade's. Tokens are the facade's small integers. */
export class WaitSet {
  /** An empty set. */
  static create(): WaitSet
  /** Reports `token` while the subscriber has messages. */
  addSubscriber(subscriber: Subscriber, token: number): void
  /** Reports `token` when a publisher that found no room should try again. */
  addPublisher(publisher: Publisher, token: number): void
  /** Reports `token` while a foreign descriptor is readable. */
  addFd(fd: number, token: number): void
  /** Reports `token` every `period` milliseconds. */
  addTimer(period: number, token: number): void
  /** Forgets what has this token. */
  remove(token: number): boolean
  /** The tokens that are ready now; never waits. */
  ready(): Array<number>
  /** The pollable descriptor. */
  fd(): number
  /** Ends the set; a second time does nothing. */
  close(): void
}

/** Makes scoped views copies, as in engines that refuse external memory. For tests. */
export function alwaysCopy(copy: boolean): void

/**
 * Runs the command with `args` (without the program's name); answers the exit code. `again` is how the command
 * is started anew in a process of its own, up to its arguments; `bench` does that.
 */
export function cli(args: Array<string>, again: Array<string>): number

/** The names of the element types, by their number in the protocol. */
export function dtypes(): Array<string>

/** Every error kind, in the order of its number. */
export function errorTable(): Array<ErrorRow>

/** MessagePack from JSON text. */
export function jsonToMsgpack(json: Uint8Array): Buffer

/** JSON text from MessagePack. */
export function msgpackToJson(msgpack: Uint8Array): Buffer

/** The class to throw: `new Class(kindName, message, { accepted })`. */
export function setErrorClass(constructor: new (kind: string, message: string, options: { accepted: number }) => Error): void

/**
 * From now on records of this thread are kept for `take_log`, and the event loop calls `deliver` when there are some.
 * Of several calls on a thread the last counts; the answer is its turn.
 */
export function startLog(deliver: () => void): number

/** What happened on this thread since the last time, for whose turn it is. */
export function takeLog(turn: number): Array<LogRecord>
