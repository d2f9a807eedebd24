import axonic from './lib/index.js'

export const { AxonicError, Domain, Job, Message, Publisher, Queue, Region, Reject, RingConsumer, RingProducer } = axonic
export const { Subscriber, Ticket, WaitSet } = axonic
export const { errors, open, regionFromFd, sealedRegion, setLogger } = axonic
export default axonic
