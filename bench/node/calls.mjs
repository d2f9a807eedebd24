// Calls of one service by one client: the subjects axonic-node, grpc-js and vscode-jsonrpc.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import {
  METHOD, SMALL, end, exchangesAsync, folder, fewer, grpcServer, isChild, jsonRpc, meet, name, onCore1, packageOf, skip,
  sleeping, spinning, startChild, subject, tag, tell
} from './common.mjs'

const WAITS = { call_spin: 'spin', call_adaptive: 'adaptive', call_blocking: 'block' }
const message = Buffer.alloc(SMALL, 7)

async function axonic () {
  const { open } = await import('axonic')
  const wait = WAITS[name]
  const n = wait === 'block' ? sleeping() : spinning(SMALL)
  const domain = open(tag)
  if (isChild) domain.service('echo', '1.0.0', { echo: (data) => data }, { wait })
  await meet()
  if (!isChild) {
    const { echo } = domain.client('echo', '^1', { wait })
    tell(SMALL, 'latency', 'ns', await exchangesAsync(n, () => echo(message)))
  }
}

/** Over a Unix socket. What is sent is the message itself, without protobuf around it. */
async function grpc () {
  const package_ = packageOf('@grpc/grpc-js', skip)
  const at = `unix:${folder}/grpc-${tag}`
  const same = (bytes) => bytes
  if (isChild) await grpcServer(package_, at, { encode: same, decode: same })
  await meet()
  if (!isChild) {
    const client = new package_.Client(at, package_.credentials.createInsecure())
    const call = () => new Promise((resolve, reject) => {
      client.makeUnaryRequest(METHOD, same, same, message, (error, answer) => error ? reject(error) : resolve(answer))
    })
    tell(SMALL, 'latency', 'ns', await exchangesAsync(fewer(4, sleeping()), call))
  }
}

/** Over the standard input and output of the one that serves. JSON has no bytes: it is text of that length. */
async function overStdio () {
  const rpc = packageOf('vscode-jsonrpc/node', skip)
  const [program, ...before] = onCore1()
  const script = fileURLToPath(new URL('services.mjs', import.meta.url))
  const child = spawn(program, [...before, script, 'json-rpc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  await new Promise((resolve) => child.stderr.once('data', resolve))
  const connection = jsonRpc(rpc, child.stdout, child.stdin)
  connection.listen()
  const params = { text: 'x'.repeat(SMALL) }
  tell(SMALL, 'latency', 'ns', await exchangesAsync(fewer(4, sleeping()), () => connection.sendRequest('echo', params)))
  connection.dispose()
  child.stdin.end()
}

if (subject === 'vscode-jsonrpc') {
  await overStdio()
} else {
  if (!isChild) startChild()
  await (subject === 'axonic-node' ? axonic : grpc)()
  await end()
}
