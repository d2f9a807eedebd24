// `vscode-jsonrpc` as a client of a service, and as a server that a client calls.
//
// node vscode.mjs client|server <port>

import assert from 'node:assert/strict';
import net from 'node:net';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../bindings-node/package.json', import.meta.url));
const rpc = require('vscode-jsonrpc/node');
const [, , role, port] = process.argv;
const value = { text: 'ä€😀', n: [1, 2.5, null, true] };

function open(socket) {
  return rpc.createMessageConnection(new rpc.SocketMessageReader(socket), new rpc.SocketMessageWriter(socket));
}

async function client() {
  const connection = open(net.connect(Number(port), '127.0.0.1'));
  connection.listen();
  const calls = Array.from({ length: 100 }, (_, i) => connection.sendRequest('echo', { ...value, i }));
  await connection.sendNotification('echo', { nobody: 'waits' });
  for (const [i, result] of (await Promise.all(calls)).entries()) assert.deepEqual(result, { ...value, i });
  assert.deepEqual(await connection.sendRequest('count'), [{ i: 0 }, { i: 1 }, { i: 2 }]);
  const failed = await connection.sendRequest('fail', {}).catch((error) => error);
  assert.deepEqual([failed.code, failed.message, failed.data.reason], [-32005, 'no order 7', 'no_such_order']);
  const none = await connection.sendRequest('none', {}).catch((error) => error);
  assert.deepEqual([none.code, none.message], [-32601, 'Method not found']);
  connection.end();
  console.log('all answered');
}

function server() {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    const connection = open(socket);
    connection.onRequest('echo', (params) => params);
    connection.onRequest('fail', () => new rpc.ResponseError(-32050, 'no order 7', { order: 7 }));
    connection.listen();
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.resume().on('end', () => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
}

await (role === 'client' ? client() : server());
