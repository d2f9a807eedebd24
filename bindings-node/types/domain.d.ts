import type { Channel, ChannelOptions, ChildPipe, ConnectOptions, Listener } from './channel.js'
import type { AnyMethods, Client, ClientOptions, RemoteMethods } from './client.js'
import type { Barrier, Event, EventOptions, LockHolder, LockOptions, Mutex, RwLock, Semaphore } from './lock.js'
import type { Publisher, PublisherOptions } from './publisher.js'
import type { Queue, QueueOptions } from './queue.js'
import type { Region, RegionOptions } from './region.js'
import type { RingConsumer, RingOptions, RingProducer } from './ring.js'
import type { Handler, Service, ServiceOptions } from './service.js'
import type { Subscriber, SubscriberOptions } from './subscriber.js'
import type { Handle } from './wait.js'

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
  /** Opens a channel over two pipes, of which a child of this process gets the other end: the channel, and what the child is to inherit. */
  pipe(options?: ChannelOptions): [channel: Channel, child: ChildPipe]
  /**
   * Provides a service in a version such as `1.2.0`, from now on: each method is a function of `methods`. It keeps the
   * process alive until it is closed.
   */
  service(name: string, version: string, methods: Record<string, Handler>, options?: ServiceOptions): Service
  /**
   * Calls the service `name` of whoever provides a version in `range`, such as `^1.2` (`*`: any): `client.method(params, options)`.
   * `S` has its methods as functions; those that stream return an `AsyncIterable`.
   */
  client<S = AnyMethods>(name: string, range?: string, options?: ClientOptions): Client & RemoteMethods<S>
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
