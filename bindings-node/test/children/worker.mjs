// Ends a Worker in every way while handles are open, waiting and watched.

import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { open, setLogger } from '../../index.mjs'

const WAYS = ['idle', 'exit', 'throw', 'terminate', 'borrowing', 'closing', 'leaving']

async function inside () {
  setLogger(() => {})
  const ax = open('workers')
  const sub = ax.subscriber('t')
  const pub = ax.publisher('t', { overflow: 'block', capacity: 65_536 })
  pub.publish(Buffer.alloc(5000))
  await sub.receive()
  await sub.receive({ timeout: 5 }).catch(() => {})
  const mutex = ax.mutex('m')
  globalThis.kept = [ax, sub, pub, await mutex.acquire({ timeout: 1000 })]
  if (workerData !== 'idle') mutex.acquire().catch(() => {})
  switch (workerData) {
    case 'idle': break
    case 'leaving': sub.receive(); process.exit(0); break
    case 'exit': sub.receive(); setTimeout(() => process.exit(0), 5); break
    case 'throw': sub.receive(); setTimeout(() => { throw new Error('expected') }, 5); break
    case 'closing': sub.receive().catch(() => {}); ax.close(); break
    case 'borrowing':
      pub.publish(Buffer.alloc(5000))
      sub.tryBorrow(() => new Promise(() => {}))
      sub.receive()
      break
    case 'terminate': sub.receive()
  }
  parentPort.postMessage('up')
}

if (isMainThread) {
  const ends = {}
  for (let round = 0; round < Number(process.argv[2]); round++) {
    for (const way of WAYS) {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: way })
      worker.on('error', () => {})
      if (way === 'terminate' || way === 'borrowing') worker.on('message', () => worker.terminate())
      ends[way] = await new Promise((resolve) => worker.on('exit', resolve))
    }
  }
  const ax = open('workers')
  const { ownerDied } = ax.mutex('m').tryAcquire()
  console.log(JSON.stringify({ ends, left: ax.publisher('t').subscribers, ownerDied }))
} else {
  await inside()
}
