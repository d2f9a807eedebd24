// `jayson` as a client of a service, and as a server that a client calls: one connection for each call, or one for all.
//
// node jayson.mjs client|server <port>

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../bindings-node/package.json', import.meta.url));
const jayson = require('jayson/promise');
const [, , role, port] = process.argv;
const value = { text: 'ä€😀', n: [1, 2.5, null, true] };

async function client() {
  const client = jayson.Client.tcp({ host: '127.0.0.1', port: Number(port) });
  const calls = Array.from({ length: 98 }, (_, i) => client.request('echo', { ...value, i }));
  for (const [i, { result }] of (await Promise.all(calls)).entries()) assert.deepEqual(result, { ...value, i });
  await client.request('echo', { nobody: 'waits' }, null);
  const batch = [0, 1].map((i) => client.request('echo', [i], `id ${i}`, false));
  const answers = await client.request([...batch, { nonsense: true }]);
  assert.deepEqual(answers.map(({ id, result, error }) => [id, result ?? error.code]).sort(), [
    [null, -32600],
    ['id 0', [0]],
    ['id 1', [1]],
  ].sort());
  assert.deepEqual((await client.request('count', [])).result, [{ i: 0 }, { i: 1 }, { i: 2 }]);
  const failed = (await client.request('fail', {})).error;
  assert.deepEqual([failed.code, failed.message, failed.data.reason], [-32005, 'no order 7', 'no_such_order']);
  assert.equal((await client.request('none', {})).error.code, -32601);
  console.log('all answered');
}

function server() {
  const methods = {
    echo: async (params) => params,
    fail: async () => {
      throw { code: -32050, message: 'no order 7', data: { order: 7 } };
    },
  };
  const server = new jayson.Server(methods).tcp();
  const connections = new Set();
  server.on('connection', (connection) => connections.add(connection));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.resume().on('end', () => {
    connections.forEach((connection) => connection.destroy());
    server.close();
  });
}

await (role === 'client' ? client() : server());
