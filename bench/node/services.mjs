// The service that `bench/python/calls.py` and `calls.mjs` call: `node services.mjs axonic|grpc-js|json-rpc [where [wait]]`. It
// answers what it is given, writes `ready` to its standard error, and ends when its standard input does.
import { grpcServer, jsonRpc, packageOf } from './common.mjs'

const [, , kind, where, wait] = process.argv
const cannot = (why) => {
  process.stderr.write(`skipped: ${why}\n`)
  process.exit(0)
}

const kinds = {
  async axonic () {
    const { open } = await import('axonic')
    open(where).service('echo', '1.0.0', { echo: (value) => value }, { wait })
  },
  'grpc-js': () => grpcServer(packageOf('@grpc/grpc-js', cannot), where, {
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(bytes)
  }),
  'json-rpc' () {
    const connection = jsonRpc(packageOf('vscode-jsonrpc/node', cannot), process.stdin, process.stdout)
    connection.onRequest('echo', (params) => params)
    connection.listen()
  }
}

await kinds[kind]()
process.stdin.resume().on('end', () => process.exit(0))
process.stderr.write('ready\n')
