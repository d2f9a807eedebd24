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

/** How far a call is. */
export interface CallProgress {
  /** From 0 to 1. */
  fraction: number
  /** What its handler says to it. */
  note: string
}

/** How to begin a call. */
export interface CallSettings {
  /** Milliseconds that it may take. */
  timeout?: number
  /** The caller streams its input. */
  input: boolean
  /** The caller takes a stream. */
  stream: boolean
}

/** What a transport can do. */
export interface Can {
  /** All that is sent arrives, once, unless the other end is gone. */
  reliable: boolean
  /** Messages arrive in the order in which they were sent. */
  ordered: boolean
  /** Messages arrive as they were sent. */
  messages: boolean
  /** Who sends faster than is received is made to wait. */
  backPressure: boolean
  /** The other end is told when this one has ended. */
  end: boolean
  /** An end can say that it will send nothing more. */
  halfClose: boolean
  /** Open descriptors can be passed. */
  descriptors: boolean
  /** The kernel tells who is at the other end. */
  credentials: boolean
}

/** The native channel behind the facade's. */
export class Channel {
  /** The address it was opened by. */
  address(): string
  /** What its transport can do. */
  can(): Can
  /** Who is at the other end. */
  peer(): Peer
  /** Bytes of the largest message it takes. */
  maxMessage(): number
  /** `(view, quiet)`: sends a view's bytes; `false` when quiet and there is no room, 1 when a part of it is kept. */
  bindSend(): (view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | 1 | undefined
  /** Sends bytes with copies of descriptors; `false` when quiet and there is no room, otherwise whether all went out. */
  sendDescriptors(data: Uint8Array, fds: Array<number>, quiet: boolean): false | 1 | undefined
  /** Sends the first of several messages, as many as there is room for; how many. */
  sendMany(messages: Array<Uint8Array>): number
  /** Sends what was kept; whether there is nothing left. */
  flush(): boolean
  /** Says that nothing more will be sent; what was kept is sent before. */
  finish(): void
  /** `()`: the next message, of which row 0 of the table tells; 0: there is none. */
  bindReceive(): () => number
  /** Fetches the message that was announced into a view of its length, and what descriptors came with it. */
  take(target: Uint8Array): Array<number>
  /** The pollable descriptor; readable until `receive` answered that there is nothing. */
  fd(): number
  /** The descriptor that is readable when a send that found no room should be tried again. */
  sendFd(): number
  /** Counters. */
  stats(): ChannelStats
  /** Ends it; a second time does nothing. */
  close(): void
}

/** How to open a channel, or to listen for some; what is missing takes the core's default. */
export interface ChannelSettings {
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
  /** Whether whoever connects does so anew when the other end is gone. */
  reconnect?: boolean
}

/** Counters of one end of a channel. */
export interface ChannelStats {
  /** Messages sent. */
  sentMessages: number
  /** Their bytes. */
  sentBytes: number
  /** Messages received. */
  receivedMessages: number
  /** Their bytes. */
  receivedBytes: number
  /** Sends that found no room. */
  blocked: number
}

/** The native client behind the facade's. */
export class Client {
  /** The number to call a method by. */
  method(name: string): number
  /**
  * `(method, view)`: calls a method with a view's bytes, of the content and within the time that row 0 says. -1: nobody was
  * called, `connect` first; 0: it is under way, with the id in row 0; 1: row 0 tells of its result.
  */
  bindCall(): (method: number, view: Uint8Array) => number
  /** `(method, length)`: the same with the first bytes of the scratch. */
  bindCallScratch(): (method: number, length: number) => number
  /** Begins a call; its id, or -1: nobody was called, `connect` first. */
  start(method: number, data: Uint8Array, parts: PayloadParts, settings: CallSettings): number
  /** `(id)`: a call's result: 1: row 0 tells of it; 0: it is not there yet. With an error, too, the call is over. */
  bindResult(): (id: number) => number
  /** `(id)`: the next item of a call's stream: 1: row 0 tells of it; 0: it is not there yet; 2: there is no more. */
  bindNext(): (id: number) => number
  /** Fetches what was announced and did not fit into the scratch. */
  take(target: Uint8Array): void
  /** Streams one more item to a call's service; `false`: it takes none now. */
  send(id: number, data: Uint8Array, parts: PayloadParts): boolean
  /** There is no more input of a call. */
  finishInput(id: number): void
  /** How far a call is, as its service told last. */
  progress(id: number): CallProgress | null
  /** Gives a call up, if it is under way. */
  cancel(id: number): void
  /** The ids of calls that something came for since the last time. */
  news(): Array<number>
  /** Has a thread connect to whoever provides the service, within so many milliseconds. */
  connect(timeout?: number | undefined | null): ClientConnecting
  /** The pollable descriptor; readable until `news` answered that there are none. */
  fd(): number
  /** Ends it, and gives up the calls that are under way; a second time does nothing. */
  close(): void
}

/** A connection that is about to be there. */
export class ClientConnecting {
  /** Nobody waits for it any more. */
  giveUp(): void
  /** Readable once it is decided. */
  fd(): number
  /** Whether it is there; `false`: that is not decided yet. */
  take(): boolean
}

/** How to open a client; what is missing takes the core's default. */
export interface ClientSettings {
  /** Where the service is; default: at whoever provides it in the domain. */
  address?: string
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** A channel that is about to be opened. */
export class Connecting {
  /** Nobody waits for it any more. */
  giveUp(): void
  /** Readable once it is decided. */
  fd(): number
  /** The channel; `null`: it is not decided yet. */
  take(): Channel | null
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
  /** Listens for channels at an address. */
  listen(address: string, settings: ChannelSettings): Listener
  /** Has a thread open a channel to whoever listens at an address, within so many milliseconds. */
  connect(address: string, timeout: number | undefined | null, settings: ChannelSettings): Connecting
  /** Provides a service whose methods have these names. */
  service(name: string, version: string, methods: Array<string>, settings: ServiceSettings): Service
  /** Opens a client of whoever provides a service in a range of versions. */
  client(name: string, range: string, settings: ClientSettings): Client
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

/** The native listener behind the facade's. */
export class Listener {
  /** Its address, with what the system chose. */
  address(): string
  /** The next channel that somebody opened; `null`: nobody has. */
  accept(): Channel | null
  /** The pollable descriptor; readable until `accept` answered that nobody is there. */
  fd(): number
  /** Ends it; a second time does nothing. */
  close(): void
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

/** Who is at the other end. */
export interface Peer {
  /** Its process. */
  pid?: number
  /** Its user. */
  uid?: number
  /** Its group. */
  gid?: number
  /** Where it is. */
  address?: string
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
  /** Throws if a payload is too large for the queue, or does not satisfy the schema. */
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

/** The native service behind the facade's. Calls are known by their numbers. */
export class Service {
  /** Its version. */
  version(): string
  /** Whether it polls for calls rather than wait for them. */
  spins(): boolean
  /** Calls that are at work. */
  atWork(): number
  /** Has it called at an address too. The address, with what the system chose. */
  listen(address: string): string
  /** `()`: the next call: 1: row 0 tells of it; 0: there is none. */
  bindTake(): () => number
  /** `(number, view)`: answers a call with a view's bytes, of the content that row 0 says. */
  bindReply(): (number: number, view: Uint8Array) => number
  /** `(number, length)`: the same with the first bytes of the scratch. */
  bindReplyScratch(): (number: number, length: number) => number
  /** `(number)`: the next item of a call's input: 1: row 0 tells of it; 0: there is none yet; 2: there is no more. */
  bindInput(): (number: number) => number
  /** Fetches the arguments of a call, or the item of its input, that was announced and did not fit into the scratch. */
  fetch(number: number, target: Uint8Array): void
  /** The attributes of a call: name, value, name, value. */
  attributes(number: number): Array<string>
  /** Answers a call. */
  replyParts(number: number, data: Uint8Array, parts: PayloadParts): void
  /** Answers that a call failed. */
  fail(number: number, status: StatusParts): void
  /** Streams one more item to a caller; `false`: it takes none now. */
  send(number: number, data: Uint8Array, parts: PayloadParts): boolean
  /** Tells a caller how far its call is. */
  progress(number: number, fraction: number, note: string): void
  /** Milliseconds that a caller still waits; `null`: as long as it takes. */
  remaining(number: number): number | null
  /** Who calls. */
  peer(number: number): Peer
  /** The ids of calls at work that nobody waits for any more, since the last time. */
  givenUp(): Array<number>
  /** The ids of calls at work whose streams may go on, since the last time. */
  news(): Array<number>
  /** The pollable descriptor; readable until `take` answered that there is nothing. */
  fd(): number
  /** Ends it: calls that are not answered fail. A second time does nothing. */
  close(): void
}

/** How to provide a service; what is missing takes the core's default. */
export interface ServiceSettings {
  /** Calls that may be at work at the same time. */
  concurrency?: number
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
}

/** Who sent a message: what is the same for all messages of one publisher, fetched once. */
export interface Source {
  /** Its topic. */
  topic: string
  /** Its identity. */
  publisher: bigint
}

/** Why a call failed. */
export interface StatusParts {
  /** The code's name, gRPC's. */
  code: string
  /** A word that stays the same while texts change; may be empty. */
  reason: string
  /** A sentence for a person. */
  message: string
  /** The same call may succeed later. */
  retryable: boolean
  /** What else there is to say, as JSON. */
  details: string
  /** Who failed; empty for whoever answers. */
  origin: string
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

/** The names of the codes of failed calls, in the order of their numbers. */
export function callCodes(): Array<string>

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

/** The class to throw: `new Class(kindName, message, { accepted, status })`. */
export function setErrorClass(constructor: new (kind: string, message: string, options: { accepted: number, status?: StatusParts }) => Error): void

/**
 * From now on records of this thread are kept for `take_log`, and the event loop calls `deliver` when there are some.
 * Of several calls on a thread the last counts; the answer is its turn.
 */
export function startLog(deliver: () => void): number

/** What happened on this thread since the last time, for whose turn it is. */
export function takeLog(turn: number): Array<LogRecord>
