// Has something open, or waits for something: what keeps the process alive?

import { open } from '../../index.mjs'

const [name, way, path] = process.argv.slice(2)
const ax = open(name)
const listener = ax.listen(`unix://${path}`)
const channel = await ax.connect(listener.address)
const far = await listener.accept()
const keep = ax.service('s', '1.0.0', { echo: (value) => value, hang: () => new Promise(() => {}) })
const client = ax.client('s', '^1')
await client.echo(1)
globalThis.kept = [ax, listener, channel, far, client]
console.log('waiting')
if (way !== 'service' && way !== 'call') keep.close()
switch (way) {
  case 'accept': listener.accept(); break
  case 'receive': far.receive(); break
  case 'call': client.hang().catch(() => {}); break
  case 'service': break
  // What was waited for holds nothing any more.
  case 'channel': await far.receive({ timeout: 5 }).catch(() => console.log('done')); break
  case 'listener': await listener.accept({ timeout: 5 }).catch(() => console.log('done')); break
  case 'client': await client.echo(1).catch(() => console.log('done')); break
}
