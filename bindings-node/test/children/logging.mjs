// Talks in a domain and logs, or not: `logging.mjs DOMAIN WAY`.

import { open, setLogger } from '../../index.mjs'

const [name, way = 'talk'] = process.argv.slice(2)

switch (way) {
  case 'talk': {
    const pub = open(name).publisher('t')
    await pub.waitForSubscribers(1)
    pub.publish(Buffer.from('last words'))
    setInterval(() => {}, 1000)
    break
  }
  case 'end':
    setLogger((level, message) => console.log(message))
    open(name).subscriber('t')
    break
  case 'fail': {
    process.on('uncaughtException', (error) => console.log(`uncaught ${error.message}`))
    setLogger(() => { throw new Error('the log is full') })
    const ax = open(name)
    console.log(`region of ${ax.region('r', { size: 4 }).buffer.byteLength}`)
    await null
    setLogger(null)
    ax.unlink('region', 'r')
    break
  }
  case 'quiet':
    open(name).close()
}
