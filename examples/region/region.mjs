// Raw shared memory: a named region mapped twice, and a sealed one known by its descriptor.

import { open, regionFromFd, sealedRegion } from 'axonic'

const ax = open(process.env.AXONIC_DOMAIN ?? 'example-region')

const table = ax.region('table', { size: 4096 })
console.log(`${table.created ? 'created' : 'opened'} ${table.name}: ${table.size} bytes`)
const again = ax.region('table')
table.buffer.write('hello')
console.log(`read from ${again.name}: ${again.read(0, 5)}`)
ax.unlink('region', 'table')

const sealed = sealedRegion(Buffer.from('for ever'))
// Its descriptor would be inherited: spawn(program, { stdio: ['inherit', 'inherit', 'inherit', sealed.fd] })
const received = regionFromFd(sealed.fd)
console.log(`read from a sealed region: ${received.read()}`)

ax.close()
