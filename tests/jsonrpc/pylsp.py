"""`python-lsp-jsonrpc` as a client of a service, and as a server that a client calls.

python pylsp.py client|server <port>
"""

import socket
import sys
import threading

from pylsp_jsonrpc.dispatchers import MethodDispatcher
from pylsp_jsonrpc.endpoint import Endpoint
from pylsp_jsonrpc.exceptions import JsonRpcException
from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

VALUE = {"text": "ä€😀", "n": [1, 2.5, None, True]}


def open_endpoint(connection, dispatcher):
    reader = JsonRpcStreamReader(connection.makefile("rb"))
    writer = JsonRpcStreamWriter(connection.makefile("wb"))
    endpoint = Endpoint(dispatcher, writer.write)
    threading.Thread(target=reader.listen, args=[endpoint.consume], daemon=True).start()
    return endpoint


def client(port):
    endpoint = open_endpoint(socket.create_connection(("127.0.0.1", port)), {})
    calls = [endpoint.request("echo", dict(VALUE, i=i)) for i in range(100)]
    endpoint.notify("echo", {"nobody": "waits"})
    for i, call in enumerate(calls):
        assert call.result(20) == dict(VALUE, i=i)
    assert endpoint.request("count").result(20) == [{"i": 0}, {"i": 1}, {"i": 2}]
    for method, code, says in [("fail", -32005, "no order 7"), ("none", -32601, "Method not found")]:
        error = endpoint.request(method, {}).exception(20)
        assert isinstance(error, JsonRpcException), error
        assert (error.code, error.message) == (code, says), error
    assert error.data["code"] == "UNIMPLEMENTED"
    assert "echo, count, fail" in error.data["message"]
    print("all answered")


class Server(MethodDispatcher):
    def m_echo(self, **params):
        return params

    def m_fail(self):
        raise JsonRpcException("no order 7", -32050, {"order": 7})


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    open_endpoint(connection, Server())
    sys.stdin.read()
    connection.shutdown(socket.SHUT_RDWR)


client(int(sys.argv[2])) if sys.argv[1] == "client" else server()
