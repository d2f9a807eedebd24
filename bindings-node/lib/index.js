'use strict'

const { Channel, ChildPipe, Listener } = require('./channel.js')
const { Client } = require('./client.js')
const { AxonicError, Reject, Status, errors } = require('./error.js')
const { Domain, open } = require('./domain.js')
const { Job } = require('./job.js')
const { Barrier, Event, Held, Mutex, RwLock, Semaphore } = require('./lock.js')
const { setLogger } = require('./log.js')
const { Message } = require('./message.js')
const { Publisher } = require('./publisher.js')
const { Queue } = require('./queue.js')
const { Region, regionFromFd, sealedRegion } = require('./region.js')
const { RingConsumer, RingProducer } = require('./ring.js')
const { Service } = require('./service.js')
const { Subscriber } = require('./subscriber.js')
const { Ticket } = require('./ticket.js')
const { WaitSet } = require('./waitset.js')

module.exports = {
  AxonicError,
  Barrier,
  Channel,
  ChildPipe,
  Client,
  Domain,
  Event,
  Held,
  Job,
  Listener,
  Message,
  Mutex,
  Publisher,
  Queue,
  Region,
  Reject,
  RingConsumer,
  RingProducer,
  RwLock,
  Semaphore,
  Service,
  Status,
  Subscriber,
  Ticket,
  WaitSet,
  errors,
  open,
  regionFromFd,
  sealedRegion,
  setLogger
}
