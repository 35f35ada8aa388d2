"""Bytes that no client should send: the right answer, a closed socket, and a node that goes on."""
import struct

import pytest

from conftest import amqp_port
from wire import HEADER, Wire, frame, long, method, short


class Client(Wire):
    """Does one thing after the other, and knows what has to come back."""

    def __init__(self, node=1):
        super().__init__(amqp_port(node))

    def method(self):
        """The next method: (channel, class, method, arguments)."""
        while True:
            kind, channel, payload = self.frame()
            if kind == 1:
                return (channel, *struct.unpack(">HH", payload[:4]), payload[4:])

    def open(self):
        self.send(HEADER)
        assert self.method()[1:3] == (10, 10)
        self.send(method(0, 10, 11, long(b"") + short(b"PLAIN") + long(b"\0guest\0guest") + short(b"en_US")))
        _, _, number, arguments = self.method()
        assert number == 30
        self.send(method(0, 10, 31, arguments[:8]))
        self.send(method(0, 10, 40, short(b"/") + short(b"") + b"\0"))
        assert self.method()[1:3] == (10, 41)
        return self

    def open_channel(self, number=1):
        self.send(method(number, 20, 10, short(b"")))
        assert self.method()[1:3] == (20, 11)
        return self

    def connection_close(self):
        """The reply code of the connection.close that comes next."""
        _, class_id, method_id, arguments = self.method()
        assert (class_id, method_id) == (10, 50)
        return struct.unpack(">H", arguments[:2])[0]

    def channel_close(self):
        _, class_id, method_id, arguments = self.method()
        assert (class_id, method_id) == (20, 40)
        return struct.unpack(">H", arguments[:2])[0]

    def is_closed(self):
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        return True


@pytest.mark.parametrize("header", [b"HTTP/1.1", b"AMQP\x01\x01\x00\x0a", b"GET / HT"])
def test_wrong_protocol_header(header):
    client = Client()
    client.send(header)
    assert client.read(8) == HEADER
    assert client.is_closed()


def test_frame_without_its_end_octet():
    client = Client().open()
    client.send(frame(1, 0, struct.pack(">HH", 10, 51), end=b"\x00"))
    assert client.connection_close() == 501


def test_oversized_frame():
    client = Client().open()
    client.send(struct.pack(">BHI", 3, 1, 0x7FFFFFFF))
    assert client.connection_close() == 501


def test_malformed_arguments():
    client = Client().open().open_channel()
    client.send(method(1, 50, 10, b"\x00\x00\xff"))
    assert client.connection_close() in (501, 502)


def test_unknown_method():
    client = Client().open().open_channel()
    client.send(method(1, 50, 999))
    assert client.connection_close() in (503, 540)


def test_method_on_a_channel_that_is_not_open():
    client = Client().open()
    client.send(method(7, 60, 10, struct.pack(">IHB", 0, 1, 0)))
    assert client.connection_close() == 504


def test_body_without_a_header():
    client = Client().open().open_channel()
    client.send(frame(3, 1, b"body"))
    assert client.connection_close() == 505


def test_publish_to_a_missing_exchange_closes_only_the_channel():
    client = Client().open().open_channel()
    client.send(method(1, 60, 40, struct.pack(">H", 0) + short(b"no-such-exchange") + short(b"k") + b"\0"))
    client.send(frame(2, 1, struct.pack(">HHQH", 60, 0, 1, 0)) + frame(3, 1, b"x"))
    assert client.channel_close() == 404
    client.send(method(1, 20, 41))
    client.open_channel(2)


def test_garbage_does_not_end_the_node():
    for seed in range(40):
        client = Client()
        client.send(HEADER + bytes((seed * 37 + index * 101) % 256 for index in range(400)))
        client.socket.close()
    Client().open().open_channel()
