import axonic from './lib/index.js'

export const { AxonicError, Domain, Message, Publisher, Region, RingConsumer, RingProducer, Subscriber, WaitSet } = axonic
export const { errors, open, regionFromFd, sealedRegion, setLogger } = axonic
export default axonic
