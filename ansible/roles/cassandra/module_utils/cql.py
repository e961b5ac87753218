"""Cassandra's native protocol, version 4, as far as accounts and keyspaces need it: no driver has to be on the host."""

from __future__ import annotations

import socket
import ssl
import struct

STARTUP, QUERY, AUTH_RESPONSE = 0x01, 0x07, 0x0F
ERROR, READY, AUTHENTICATE, RESULT, AUTH_SUCCESS = 0x00, 0x02, 0x03, 0x08, 0x10
ROWS = 2
BAD_CREDENTIALS = 0x0100
LOCAL_QUORUM = 0x0006


class Refused(Exception):
    """The server's answer to what was asked."""

    def __init__(self, code: int, told: str):
        super().__init__(told)
        self.code = code


class Reader:
    def __init__(self, body: bytes):
        self.body, self.at = body, 0

    def take(self, length: int) -> bytes:
        self.at += length
        return self.body[self.at - length : self.at]

    def short(self) -> int:
        return struct.unpack(">H", self.take(2))[0]

    def int(self) -> int:
        return struct.unpack(">i", self.take(4))[0]

    def string(self) -> str:
        return self.take(self.short()).decode()

    def bytes(self) -> bytes | None:
        length = self.int()
        return None if length < 0 else self.take(length)

    def skip_type(self) -> None:
        kind = self.short()
        if kind == 0x00:
            self.string()
        for _ in range({0x20: 1, 0x21: 2, 0x22: 1}.get(kind, 0)):
            self.skip_type()


def text(cell: bytes | None) -> str:
    return (cell or b"").decode()


def texts(cell: bytes | None) -> list[str]:
    """A list or set of texts; of a map, keys and values by turns."""
    if not cell:
        return []
    reader, found = Reader(cell), []
    reader.int()
    while reader.at < len(cell):
        found.append(text(reader.bytes()))
    return found


def mapping(cell: bytes | None) -> dict[str, str]:
    flat = texts(cell)
    return dict(zip(flat[::2], flat[1::2]))


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


class Session:
    """A connection of one user, by TLS."""

    def __init__(self, host: str, port: int, ca: str, user: str, password: str, timeout: float = 30):
        context = ssl.create_default_context(cafile=ca)
        plain = socket.create_connection((host, port), timeout)
        self.socket = context.wrap_socket(plain, server_hostname=host)
        version = [("CQL_VERSION", "3.0.0")]
        strings = b"".join(struct.pack(">H", len(part)) + part.encode() for pair in version for part in pair)
        opcode, reader = self.ask(STARTUP, struct.pack(">H", len(version)) + strings)
        if opcode == AUTHENTICATE:
            token = b"\0" + user.encode() + b"\0" + password.encode()
            self.ask(AUTH_RESPONSE, struct.pack(">i", len(token)) + token)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def exactly(self, length: int) -> bytes:
        got = b""
        while len(got) < length:
            part = self.socket.recv(length - len(got))
            if not part:
                raise OSError("the server closed the connection")
            got += part
        return got

    def ask(self, opcode: int, body: bytes) -> tuple[int, Reader]:
        self.socket.sendall(struct.pack(">BBhBi", 0x04, 0, 0, opcode, len(body)) + body)
        _, _, _, answer, length = struct.unpack(">BBhBi", self.exactly(9))
        reader = Reader(self.exactly(length))
        if answer == ERROR:
            code = reader.int()
            raise Refused(code, reader.string())
        return answer, reader

    def query(self, cql: str) -> list[dict[str, bytes | None]]:
        """Rows, by the names of their columns; each cell is as it came. All of them are on the first page."""
        query = cql.encode()
        _, reader = self.ask(QUERY, struct.pack(">i", len(query)) + query + struct.pack(">HB", LOCAL_QUORUM, 0))
        if reader.int() != ROWS:
            return []
        flags, columns = reader.int(), reader.int()
        if flags & 0x02:
            reader.bytes()
        if flags & 0x01:
            reader.string(), reader.string()
        names = []
        for _ in range(columns):
            if not flags & 0x01:
                reader.string(), reader.string()
            names.append(reader.string())
            reader.skip_type()
        return [{column: reader.bytes() for column in names} for _ in range(reader.int())]
