// One side of calls, of the service `child` or `parent`: `serve` until killed, `call` something that hangs, or `once`.

import { open } from '../../index.mjs'

const [name, mode] = process.argv.slice(2)
const ax = open(name)
if (mode === 'serve') {
  const service = ax.service('child', '1.0.0', {
    echo: (value) => value,
    atWork: () => service.atWork,
    hang: () => new Promise(() => {}),
    async * silent () { await new Promise(() => {}) }
  })
  console.log('serving')
} else {
  const client = ax.client('parent', '^1')
  console.log(await (mode === 'call' ? client.hang() : client.echo('x')))
}
