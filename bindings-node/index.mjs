import axonic from './lib/index.js'

export const { AxonicError, Barrier, Domain, Event, Held, Job, Message, Mutex, Publisher, Queue, Region, Reject } = axonic
export const { RingConsumer, RingProducer, RwLock, Semaphore, Subscriber, Ticket, WaitSet } = axonic
export const { errors, open, regionFromFd, sealedRegion, setLogger } = axonic
export default axonic
