// Written by scripts/build.mjs from the crate; do not edit.

import type { ChannelSettings, Connecting, Listener, Pipe } from './channel.js'
import type { Client, ClientSettings } from './client.js'
import type { Barrier, Event, LockHolder, LockSettings, RwLock, Semaphore } from './lock.js'
import type { Scratch } from './memory.js'
import type { Publisher, PublisherSettings } from './publisher.js'
import type { Queue, QueueSettings } from './queue.js'
import type { Region, RegionSettings } from './region.js'
import type { RingConsumer, RingProducer, RingSettings } from './ring.js'
import type { Service, ServiceSettings } from './service.js'
import type { Subscriber, SubscriberSettings } from './subscriber.js'

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
  /** Opens a channel to a child of this process. */
  pipe(settings: ChannelSettings): Pipe
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
