"""Kafka's protocol, as much as the modules of this role ask by it.

Kafka's own tools start a Java each, two seconds or more on a small host, and want passwords on their command line. One
connection answers in milliseconds. Kinds of messages and their versions are those of Kafka 4; see the files
clients/src/main/resources/common/message of Kafka's source.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct

ITERATIONS = 8192
SCRAM_SHA_512 = 2


class KafkaError(Exception):
    """What was being done, and why it failed."""


class Refused(KafkaError):
    """The name or the password is wrong."""


def struct_of(**fields):
    return fields


# key, version, whether lengths are compact (flexible versions), request, response.
PARTITION = struct_of(error="int16", index="int32", leader="int32", epoch="int32", replicas=["int32"], isr=["int32"], offline=["int32"])
REPLICA = struct_of(id="int32", end="int64", fetched="int64", caught_up="int64")
ACL = struct_of(type="int8", name="string", pattern="int8", principal="string", host="string", operation="int8", permission="int8")
RESULT = struct_of(error="int16", message="string")
MESSAGES = {
    "SaslHandshake": (17, 1, False, {"mechanism": "string"}, {"error": "int16", "mechanisms": ["string"]}),
    "SaslAuthenticate": (36, 1, False, {"auth": "bytes"}, {**RESULT, "auth": "bytes", "lifetime": "int64"}),
    "Metadata": (3, 9, True,
        {"topics": [{"name": "string"}], "create": "bool", "cluster_rights": "bool", "topic_rights": "bool"},
        {"throttle": "int32", "brokers": [{"id": "int32", "host": "string", "port": "int32", "rack": "string"}], "cluster": "string",
         "controller": "int32", "topics": [{"error": "int16", "name": "string", "internal": "bool", "partitions": [PARTITION], "rights": "int32"}],
         "rights": "int32"}),
    "DescribeCluster": (60, 1, True, {"rights": "bool", "endpoints": "int8"},
        {"throttle": "int32", **RESULT, "endpoints": "int8", "cluster": "string", "controller": "int32",
         "nodes": [{"id": "int32", "host": "string", "port": "int32", "rack": "string"}], "rights": "int32"}),
    "DescribeQuorum": (55, 1, True, {"topics": [{"name": "string", "partitions": [{"index": "int32"}]}]},
        {"error": "int16", "topics": [{"name": "string", "partitions": [
            {"index": "int32", "error": "int16", "leader": "int32", "epoch": "int32", "watermark": "int64", "voters": [REPLICA], "observers": [REPLICA]}]}]}),
    "CreateTopics": (19, 4, False,
        {"topics": [{"name": "string", "partitions": "int32", "replication": "int16", "assignments": ["none"],
                     "configs": [{"name": "string", "value": "string"}]}], "timeout": "int32", "validate": "bool"},
        {"throttle": "int32", "topics": [{"name": "string", **RESULT}]}),
    "CreatePartitions": (37, 1, False,
        {"topics": [{"name": "string", "count": "int32", "assignments": ["none"]}], "timeout": "int32", "validate": "bool"},
        {"throttle": "int32", "topics": [{"name": "string", **RESULT}]}),
    "DescribeConfigs": (32, 1, False, {"resources": [{"type": "int8", "name": "string", "keys": ["string"]}], "synonyms": "bool"},
        {"throttle": "int32", "resources": [{**RESULT, "type": "int8", "name": "string", "configs": [
            {"name": "string", "value": "string", "read_only": "bool", "source": "int8", "sensitive": "bool",
             "synonyms": [{"name": "string", "value": "string", "source": "int8"}]}]}]}),
    "IncrementalAlterConfigs": (44, 0, False,
        {"resources": [{"type": "int8", "name": "string", "configs": [{"name": "string", "operation": "int8", "value": "string"}]}],
         "validate": "bool"},
        {"throttle": "int32", "resources": [{**RESULT, "type": "int8", "name": "string"}]}),
    "DescribeAcls": (29, 1, False, ACL,
        {"throttle": "int32", **RESULT, "resources": [{"type": "int8", "name": "string", "pattern": "int8", "acls": [
            {"principal": "string", "host": "string", "operation": "int8", "permission": "int8"}]}]}),
    "CreateAcls": (30, 1, False, {"creations": [ACL]}, {"throttle": "int32", "results": [RESULT]}),
    "DeleteAcls": (31, 1, False, {"filters": [ACL]}, {"throttle": "int32", "results": [{**RESULT, "matching": [{**RESULT, **ACL}]}]}),
    "DescribeUserScramCredentials": (50, 0, True, {"users": [{"name": "string"}]},
        {"throttle": "int32", **RESULT, "users": [{"user": "string", **RESULT, "credentials": [{"mechanism": "int8", "iterations": "int32"}]}]}),
    "AlterUserScramCredentials": (51, 0, True,
        {"deletions": [{"name": "string", "mechanism": "int8"}],
         "upsertions": [{"name": "string", "mechanism": "int8", "iterations": "int32", "salt": "bytes", "salted": "bytes"}]},
        {"throttle": "int32", "users": [{"user": "string", **RESULT}]}),
    "AlterPartitionReassignments": (45, 0, True,
        {"timeout": "int32", "topics": [{"name": "string", "partitions": [{"index": "int32", "replicas": ["int32"]}]}]},
        {"throttle": "int32", **RESULT, "topics": [{"name": "string", "partitions": [{"index": "int32", **RESULT}]}]}),
    "ElectLeaders": (43, 2, True, {"type": "int8", "topics": [{"name": "string", "partitions": ["int32"]}], "timeout": "int32"},
        {"throttle": "int32", "error": "int16", "topics": [{"name": "string", "partitions": [{"index": "int32", **RESULT}]}]}),
}

NUMBERS = {"bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q"}


class Writer:
    def __init__(self, compact):
        self.compact, self.out = compact, bytearray()

    def number(self, kind, value):
        self.out += struct.pack(">" + NUMBERS[kind], value)

    def varint(self, value):
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)

    def length(self, kind, length):
        """None: there is nothing, which is another thing than an empty one."""
        if self.compact:
            self.varint(0 if length is None else length + 1)
        else:
            self.number(kind, -1 if length is None else length)

    def value(self, kind, value):
        if isinstance(kind, list):
            self.length("int32", None if value is None else len(value))
            for one in value or []:
                self.value(kind[0], one)
        elif isinstance(kind, dict):
            for name, of in kind.items():
                self.value(of, value[name])
            if self.compact:
                self.varint(0)
        elif kind in ("string", "bytes"):
            data = value.encode() if isinstance(value, str) else value
            self.length("int16" if kind == "string" else "int32", None if data is None else len(data))
            self.out += data or b""
        else:
            self.number(kind, value)


class Reader:
    def __init__(self, compact, data):
        self.compact, self.data, self.at = compact, data, 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise KafkaError("an answer ends early")
        self.at += count
        return taken

    def number(self, kind):
        form = struct.Struct(">" + NUMBERS[kind])
        return form.unpack(self.take(form.size))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def tags(self):
        """What newer servers add, and nothing here reads."""
        for _ in range(self.varint()):
            self.varint()
            self.take(self.varint())

    def length(self, kind):
        length = self.varint() - 1 if self.compact else self.number(kind)
        return None if length < 0 else length

    def value(self, kind):
        if isinstance(kind, list):
            length = self.length("int32")
            return None if length is None else [self.value(kind[0]) for _ in range(length)]
        if isinstance(kind, dict):
            found = {name: self.value(of) for name, of in kind.items()}
            if self.compact:
                self.tags()
            return found
        if kind in ("string", "bytes"):
            length = self.length("int16" if kind == "string" else "int32")
            data = None if length is None else self.take(length)
            return data.decode() if kind == "string" and data is not None else data
        return self.number(kind)


class Connection:
    """To one server, by TLS: as the owner of a certificate, or as a user with a password."""

    def __init__(self, address, ca, certificate=None, user=None, password=None, timeout=10):
        self.address, self.count = address, 0
        host, port = address.rsplit(":", 1)
        try:
            context = ssl.create_default_context(cafile=ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            if certificate:
                context.load_cert_chain(certificate)
            plain = socket.create_connection((host, int(port)), timeout=timeout)
            self.socket = context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            raise KafkaError(f"connect to {address}: {error}") from error
        if user is not None:
            self.log_in(user, password)

    def close(self):
        self.socket.close()

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise KafkaError(f"{self.address} closed the connection")
            data += more
        return data

    def ask(self, name, /, **fields):
        """The answer, as a mapping. Errors within it are the caller's affair."""
        key, version, compact, request, response = MESSAGES[name]
        self.count += 1
        writer = Writer(compact)
        for kind, number in (("int16", key), ("int16", version), ("int32", self.count)):
            writer.number(kind, number)
        # The header's own string is never compact.
        writer.out += struct.pack(">h", 10) + b"millstream"
        if compact:
            writer.varint(0)
        writer.value(request, fields)
        try:
            self.socket.sendall(struct.pack(">i", len(writer.out)) + writer.out)
            data = self.receive(struct.unpack(">i", self.receive(4))[0])
        except OSError as error:
            raise KafkaError(f"ask {self.address} for {name}: {error}") from error
        reader = Reader(compact, data)
        reader.number("int32")
        if compact:
            reader.tags()
        return reader.value(response)

    def log_in(self, user, password):
        """SCRAM-SHA-512, RFC 5802."""
        self.ask("SaslHandshake", mechanism="SCRAM-SHA-512")
        nonce = secrets.token_urlsafe(24)
        name = user.replace("=", "=3D").replace(",", "=2C")
        first = f"n={name},r={nonce}"
        challenge = self.step(user, f"n,,{first}")
        given = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(given["s"]), int(given["i"]))
        last = f"c=biws,r={given['r']}"
        signed = f"{first},{challenge},{last}".encode()
        client = hmac.digest(salted, b"Client Key", "sha512")
        signature = hmac.digest(hashlib.sha512(client).digest(), signed, "sha512")
        proof = bytes(a ^ b for a, b in zip(client, signature))
        self.step(user, f"{last},p={base64.b64encode(proof).decode()}")

    def step(self, user, message):
        answer = self.ask("SaslAuthenticate", auth=message.encode())
        if answer["error"]:
            raise Refused(f"log in to {self.address} as {user}: {answer['message']}")
        return answer["auth"].decode()


def salted(password):
    """A new salt and what the brokers keep instead of the password."""
    salt = secrets.token_bytes(24)
    return salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)


def active_controller(addresses, ca, certificate):
    """A connection to the controller that leads, asked of those that answer."""
    failures = []
    for address in addresses:
        try:
            connection = Connection(address, ca, certificate)
            told = connection.ask("DescribeCluster", rights=False, endpoints=2)
        except KafkaError as error:
            failures.append(str(error))
            continue
        leading = [f"{node['host']}:{node['port']}" for node in told["nodes"] if node["id"] == told["controller"]]
        if leading and leading[0] == address:
            return connection
        connection.close()
        if leading:
            return Connection(leading[0], ca, certificate)
        failures.append(f"{address} knows no controller that leads")
    raise KafkaError("; ".join(failures))
