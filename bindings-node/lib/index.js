'use strict'

const { AxonicError, Reject, errors } = require('./error.js')
const { Domain, open } = require('./domain.js')
const { Job } = require('./job.js')
const { Barrier, Event, Held, Mutex, RwLock, Semaphore } = require('./lock.js')
const { setLogger } = require('./log.js')
const { Message } = require('./message.js')
const { Publisher } = require('./publisher.js')
const { Queue } = require('./queue.js')
const { Region, regionFromFd, sealedRegion } = require('./region.js')
const { RingConsumer, RingProducer } = require('./ring.js')
const { Subscriber } = require('./subscriber.js')
const { Ticket } = require('./ticket.js')
const { WaitSet } = require('./waitset.js')

module.exports = {
  AxonicError,
  Barrier,
  Domain,
  Event,
  Held,
  Job,
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
  Subscriber,
  Ticket,
  WaitSet,
  errors,
  open,
  regionFromFd,
  sealedRegion,
  setLogger
}
