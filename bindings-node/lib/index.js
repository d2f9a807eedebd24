'use strict'

const { AxonicError, errors } = require('./error.js')
const { Domain, open } = require('./domain.js')
const { setLogger } = require('./log.js')
const { Message } = require('./message.js')
const { Publisher } = require('./publisher.js')
const { Region, regionFromFd, sealedRegion } = require('./region.js')
const { RingConsumer, RingProducer } = require('./ring.js')
const { Subscriber } = require('./subscriber.js')
const { WaitSet } = require('./waitset.js')

module.exports = {
  AxonicError,
  Domain,
  Message,
  Publisher,
  Region,
  RingConsumer,
  RingProducer,
  Subscriber,
  WaitSet,
  errors,
  open,
  regionFromFd,
  sealedRegion,
  setLogger
}
