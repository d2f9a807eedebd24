// Talks in a domain and logs, or not: `logging.mjs DOMAIN WAY`.

import { createRequire } from 'node:module'
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
  case 'exit':
    setLogger((level, message) => console.log(message))
    open(name).close()
    process.exit(7)
  case 'endless': {
    const ax = open(name)
    let told = 0
    setLogger(() => { told++; ax.publisher('log').close() })
    ax.publisher('t').close()
    setTimeout(() => { setLogger(null); console.log(told) }, 50)
    break
  }
  case 'anew': {
    const require = createRequire(import.meta.url)
    const load = () => {
      for (const file of Object.keys(require.cache)) if (file.endsWith('.js')) delete require.cache[file]
      return require('../../index.js')
    }
    load().setLogger((level, message) => console.log('first', message))
    const again = load()
    again.setLogger((level, message) => console.log('second', message))
    again.open(name).close()
    break
  }
  case 'fail': {
    process.on('uncaughtException', (error) => console.log(`uncaught ${error.message}`))
    setLogger(() => { throw new Error('the log is full') })
    const ax = open(name)
    console.log(`region of ${ax.region('r', { size: 4 }).buffer.byteLength}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
    ax.unlink('region', 'r')
    setTimeout(() => setLogger(null), 20)
    break
  }
  case 'quiet':
    open(name).close()
}
