"""Addresses of the cluster under test, and connections that are closed after each test."""
import os
import uuid

import pika
import pytest

OFFSET = int(os.environ.get("WARREN_PORT_OFFSET", "0"))
NODES = [1, 2, 3]


def amqp_port(node):
    return 5671 + node + OFFSET


def http_port(node):
    return 15671 + node + OFFSET


@pytest.fixture
def connect():
    """Opens pika connections to a node; all are closed at the end of the test."""
    opened = []

    def open_connection(node=1, **parameters):
        parameters.setdefault("heartbeat", 30)
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", amqp_port(node), **parameters))
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def name(request):
    """A name nothing else has."""
    return f"{request.node.name.split('[')[0]}-{uuid.uuid4().hex[:8]}"


def take(channel, queue, count, **options):
    """Consumes exactly `count` messages and returns (method, properties, body) of each."""
    taken = []
    options.setdefault("inactivity_timeout", 10)
    for method, properties, body in channel.consume(queue, **options):
        assert method is not None, f"only {len(taken)} of {count} messages came"
        taken.append((method, properties, body))
        if not options.get("auto_ack"):
            channel.basic_ack(method.delivery_tag)
        if len(taken) == count:
            break
    channel.cancel()
    return taken
