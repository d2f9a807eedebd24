// One side of calls, of the service `child` or `parent`: `serve` until killed, `stdio` until its
// input ends, `call` something that hangs, or `once`.

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
} else if (mode === 'stdio') {
  const { setTimeout: sleep } = await import('node:timers/promises')
  const service = ax.service('child', '1.0.0', { async echo ([value]) { await sleep(20); return value } })
  service.listen('pipe:0,1')
  process.on('exit', () => process.exitCode ??= service.closed ? 0 : 9)
} else {
  const client = ax.client('parent', '^1')
  console.log(await (mode === 'call' ? client.hang() : client.echo('x')))
}
