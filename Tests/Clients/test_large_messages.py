"""Messages up to max_message_size, with pika, against any node."""
import hashlib
import random
import threading

import pika
import pytest

from conftest import NODES, amqp_port, take

LIMIT = 16 << 20
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def body_of(size, seed=0):
    return random.Random(seed).randbytes(size)


def same(received, sent):
    return len(received) == len(sent) and hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()


@pytest.mark.parametrize("node", NODES)
def test_largest_message_through_any_node(connect, name, node):
    """The queue is led by the first node: the others pass the message on to it, and from it."""
    connect(1).channel().queue_declare(name, durable=True)
    channel = connect(node).channel()
    channel.confirm_delivery()
    body = body_of(LIMIT, node)
    channel.basic_publish("", name, body, PERSISTENT)
    received = take(connect(node % 3 + 1).channel(), name, 1)[0][2]
    assert same(received, body)
    channel.queue_delete(name)


def test_larger_message_is_refused(connect, name):
    connection = connect(2)
    channel = connection.channel()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refusal:
        channel.basic_publish("", name, bytes(LIMIT + 1), PERSISTENT)
    assert refusal.value.reply_code == 406
    assert refusal.value.reply_text == (
        "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216")
    # The connection and the queue are as before.
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", name, b"small", PERSISTENT)
    assert take(channel, name, 1)[0][2] == b"small"
    channel.queue_delete(name)


def test_large_messages_in_parallel_with_small_ones(connect, name):
    publishers, per_publisher = 6, 3
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    failures = []

    def publish(number):
        try:
            parameters = pika.ConnectionParameters("127.0.0.1", amqp_port(number % 3 + 1), heartbeat=0)
            with pika.BlockingConnection(parameters) as connection:
                mine = connection.channel()
                mine.confirm_delivery()
                for index in range(per_publisher):
                    headers = pika.BasicProperties(delivery_mode=2, headers={"publisher": number, "index": index})
                    size = 9_000_000 + number if index % 2 == 0 else 100
                    mine.basic_publish("", name, body_of(size, 10 * number + index), headers)
        except Exception as error:  # whatever it is, the test has to hear of it
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(publishers)]
    for thread in threads:
        thread.start()
    channel.basic_qos(prefetch_count=4)
    seen = {}
    for _, properties, body in take(channel, name, publishers * per_publisher, inactivity_timeout=60):
        number, index = properties.headers["publisher"], properties.headers["index"]
        size = 9_000_000 + number if index % 2 == 0 else 100
        assert same(body, body_of(size, 10 * number + index))
        seen.setdefault(number, []).append(index)
    for thread in threads:
        thread.join()
    assert not failures
    # Each once, and in each publisher's order.
    assert seen == {number: list(range(per_publisher)) for number in range(publishers)}
    channel.queue_delete(name)
