"""Either end of a channel over TLS, by Python's `ssl` module, which is not ours, and frames made by hand.

`client`, `stranger` or `old`, or `server`; then the files of a certificate, its key and the authority; then
the port, or for a server how it is to end (`says` or `dies`). A server prints its port.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys

PREAMBLE = b"AXONIC/1" + struct.pack("<II", 0, 16 << 20)


def receive(connection: ssl.SSLSocket, length: int) -> bytes:
    """So many bytes; none if the other end has said that it has ended."""
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            assert not data, "it ended in the middle"
            return b""
        data += more
    return data


def frame(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def next_frame(connection: ssl.SSLSocket) -> bytes | None:
    header = receive(connection, 4)
    return receive(connection, struct.unpack("<I", header)[0]) if header else None


def context(side: int, files: list[str]) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    cert, key, ca = files
    made.load_verify_locations(ca)
    made.load_cert_chain(cert, key)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def client(files: list[str], port: int) -> None:
    secured = context(ssl.PROTOCOL_TLS_CLIENT, files)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        secured.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as connection,
    ):
        assert connection.version() == "TLSv1.3", connection.version()
        connection.sendall(PREAMBLE)
        for length in [0, 1, 16_380, 16_384, 65_536, 1 << 20]:
            data = bytes(i % 251 for i in range(length))
            connection.sendall(frame(data))
            if length == 0:
                assert receive(connection, 16)[:8] == PREAMBLE[:8]
            assert next_frame(connection) == data, length
        # Byte by byte, each in a record of its own.
        for byte in frame(b"letter by letter"):
            connection.sendall(bytes([byte]))
        assert next_frame(connection) == b"letter by letter"
        # Many in one record.
        connection.sendall(b"".join(frame(b"%d" % i) for i in range(100)))
        for i in range(100):
            assert next_frame(connection) == b"%d" % i
        # It says that it has ended, and hears that the other has.
        connection.unwrap()


def refused(files: list[str], port: int, old: bool) -> None:
    secured = context(ssl.PROTOCOL_TLS_CLIENT, files)
    if old:
        secured.maximum_version = ssl.TLSVersion.TLSv1_2
    else:
        secured = ssl.create_default_context(cafile=files[2])
    said = "nothing"
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            secured.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.recv(1)
    except ssl.SSLError as error:
        said = str(error)
    assert ("PROTOCOL_VERSION" if old else "CERTIFICATE_REQUIRED") in said, said
    print("refused")


def server(files: list[str], ends: str) -> None:
    secured = context(ssl.PROTOCOL_TLS_SERVER, files)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        plain, _ = listening.accept()
        connection = secured.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
    assert connection.getpeercert(), "the client is somebody"
    assert receive(connection, 16)[:8] == PREAMBLE[:8]
    connection.sendall(PREAMBLE)
    while (data := next_frame(connection)) != b"goodbye":
        assert data is not None
        connection.sendall(frame(data))
    if ends == "says":
        connection.unwrap()
    connection.close()


def main() -> None:
    role, *files, last = sys.argv[1:]
    if role == "server":
        server(files, last)
    elif role == "client":
        client(files, int(last))
    else:
        refused(files, int(last), old=role == "old")


main()
