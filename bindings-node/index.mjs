import axonic from './lib/index.js'

export const { AxonicError, Barrier, Channel, ChildPipe, Client, Domain, Event, Held, Job, Listener, Message, Mutex, Publisher, Queue, Region, Reject } = axonic
export const { RingConsumer, RingProducer, RwLock, Semaphore, Service, Status, Subscriber, Ticket, WaitSet } = axonic
export const { errors, open, regionFromFd, sealedRegion, setLogger } = axonic
export default axonic
