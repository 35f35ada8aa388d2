"""AMQP's frames by hand, for what a client library would refuse to send. Standard library only."""
import socket
import struct

HEADER = b"AMQP\x00\x00\x09\x01"


def frame(kind, channel, payload, end=b"\xce"):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def method(channel, class_id, method_id, arguments=b""):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


def short(text):
    return bytes([len(text)]) + text


def long(text):
    return struct.pack(">I", len(text)) + text


class Wire:
    """A socket that takes frames and gives them."""

    def __init__(self, port, timeout=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def read(self, count):
        while len(self.buffer) < count:
            part = self.socket.recv(65_536)
            if not part:
                raise EOFError
            self.buffer += part
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def frame(self):
        kind, channel, size = struct.unpack(">BHI", self.read(7))
        return kind, channel, self.read(size + 1)[:-1]
