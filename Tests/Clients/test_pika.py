"""What applications written for RabbitMQ do, with pika, against any node."""
import threading

import pika
import pytest

from conftest import NODES, take

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.mark.parametrize("node", NODES)
def test_durable_queue_confirms_and_manual_acks(connect, name, node):
    channel = connect(node).channel()
    declared = channel.queue_declare(name, durable=True)
    assert (declared.method.message_count, declared.method.consumer_count) == (0, 0)
    channel.confirm_delivery()
    for number in range(50):
        channel.basic_publish("", name, b"message %d" % number, PERSISTENT)
    other = connect(node % 3 + 1).channel()
    assert other.queue_declare(name, passive=True).method.message_count == 50
    bodies = [body for _, _, body in take(other, name, 50)]
    assert bodies == [b"message %d" % number for number in range(50)]
    other.queue_delete(name)


def test_properties_survive(connect, name):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", delivery_mode=2, priority=3, correlation_id="c",
        reply_to="r", expiration="60000", message_id="m", timestamp=1700000000, type="t", user_id="guest",
        app_id="a", headers={"int": 7, "text": "x", "list": [1, "two"], "table": {"deep": True}, "none": None})
    channel.basic_publish("", name, b"body", sent)
    _, received, body = take(connect(2).channel(), name, 1)[0]
    assert body == b"body"
    for field in ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
                  "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "headers"):
        assert getattr(received, field) == getattr(sent, field), field


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1_000_000, 4_000_000])
def test_bodies_of_all_sizes(connect, name, size):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    body = bytes(index % 251 for index in range(min(size, 1000))) * (size // 1000 + 1)
    channel.basic_publish("", name, body[:size], PERSISTENT)
    assert take(connect(3).channel(), name, 1)[0][2] == body[:size]


def test_requeue_counts_deliveries(connect, name):
    channel = connect(2).channel()
    channel.queue_declare(name, durable=True)
    for body in (b"first", b"second"):
        channel.basic_publish("", name, body, PERSISTENT)
    method, properties, body = _get(channel, name)
    assert (body, method.redelivered, properties.headers) == (b"first", False, None)
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, properties, body = _get(channel, name)
    assert (body, method.redelivered) == (b"first", True)
    assert properties.headers["x-delivery-count"] == 1
    channel.basic_reject(method.delivery_tag, requeue=False)
    method, _, body = _get(channel, name)
    assert body == b"second"
    channel.basic_ack(method.delivery_tag)
    assert channel.basic_get(name) == (None, None, None)


def _get(channel, queue):
    """A message that is surely there: an acknowledged one may still be on its way out."""
    for _ in range(200):
        found = channel.basic_get(queue)
        if found[0] is not None:
            return found
        channel.connection.sleep(0.01)
    pytest.fail("no message came")


def test_closed_channel_returns_its_messages(connect, name):
    first = connect(1).channel()
    first.queue_declare(name, durable=True)
    first.confirm_delivery()
    for number in range(10):
        first.basic_publish("", name, b"%d" % number, PERSISTENT)
    consumer = connect(2).channel()
    for _ in range(10):
        assert _get(consumer, name)[0] is not None
    consumer.close()
    messages = take(connect(3).channel(), name, 10)
    assert [body for _, _, body in messages] == [b"%d" % number for number in range(10)]
    assert all(method.redelivered for method, _, _ in messages)


def test_prefetch_bounds_unacknowledged(connect, name):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    for number in range(20):
        channel.basic_publish("", name, b"%d" % number, PERSISTENT)
    consumer = connect(2).channel()
    consumer.basic_qos(prefetch_count=4)
    arrived = []
    consumer.basic_consume(name, lambda _c, method, _p, _b: arrived.append(method.delivery_tag))
    while len(arrived) < 4:
        consumer.connection.process_data_events(time_limit=0.1)
    # A later round trip on the same connection would bring a fifth before its own answer.
    consumer.queue_declare(name, passive=True)
    assert len(arrived) == 4
    consumer.basic_ack(arrived[-1], multiple=True)
    while len(arrived) < 8:
        consumer.connection.process_data_events(time_limit=0.1)
    assert len(arrived) == 8


def test_competing_consumers_share(connect, name):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    counts = {}
    consumers = [connect(node).channel() for node in NODES]
    for index, consumer in enumerate(consumers):
        counts[index] = 0

        def received(ch, method, _properties, _body, index=index):
            counts[index] += 1
            ch.basic_ack(method.delivery_tag)

        consumer.basic_qos(prefetch_count=1)
        consumer.basic_consume(name, received)
    channel.confirm_delivery()
    for number in range(60):
        channel.basic_publish("", name, b"%d" % number, PERSISTENT)
        for consumer in consumers:
            consumer.connection.process_data_events(time_limit=0)
    while sum(counts.values()) < 60:
        for consumer in consumers:
            consumer.connection.process_data_events(time_limit=0.05)
    assert min(counts.values()) >= 5, counts


def test_purge_and_delete_say_how_many(connect, name):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    for _ in range(7):
        channel.basic_publish("", name, b"x", PERSISTENT)
    assert channel.queue_purge(name).method.message_count == 7
    for _ in range(3):
        channel.basic_publish("", name, b"x", PERSISTENT)
    assert channel.queue_delete(name).method.message_count == 3
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_declare(name, passive=True)
    assert closed.value.reply_code == 404


def test_unroutable_messages_return(connect, name):
    channel = connect(1).channel()
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", name, b"nowhere", mandatory=True)
    channel.basic_publish("", name, b"nowhere", mandatory=False)


def test_deleted_queue_cancels_its_consumers(connect, name):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    consumer = connect(2).channel()
    cancelled = []
    consumer.add_on_cancel_callback(cancelled.append)
    consumer.basic_consume(name, lambda *_: None)
    channel.queue_delete(name)
    for _ in range(100):
        if cancelled:
            break
        consumer.connection.process_data_events(time_limit=0.1)
    assert cancelled


def test_bindings_of_all_kinds_route(connect, name):
    channel = connect(1).channel()
    for kind in ("direct", "fanout", "topic"):
        channel.exchange_declare(f"{name}-{kind}", kind, durable=True)
    for queue, exchange, key in (
            ("d", "direct", "red"), ("f", "fanout", ""), ("t", "topic", "*.orange.#"), ("e", "topic", "lazy.#")):
        channel.queue_declare(f"{name}-{queue}", durable=True)
        channel.queue_bind(f"{name}-{queue}", f"{name}-{exchange}", key)
    other = connect(2).channel()
    other.confirm_delivery()
    other.basic_publish(f"{name}-direct", "red", b"1")
    other.basic_publish(f"{name}-direct", "blue", b"2")
    other.basic_publish(f"{name}-fanout", "any", b"3")
    other.basic_publish(f"{name}-topic", "quick.orange.rabbit", b"4")
    other.basic_publish(f"{name}-topic", "lazy.orange", b"5")
    expected = {"d": [b"1"], "f": [b"3"], "t": [b"4", b"5"], "e": [b"5"]}
    reader = connect(3).channel()
    for queue, bodies in expected.items():
        assert [body for _, _, body in take(reader, f"{name}-{queue}", len(bodies))] == bodies
        assert reader.queue_declare(f"{name}-{queue}", passive=True).method.message_count == 0


def test_the_chat_programs_pattern(connect, name):
    """A non-durable named queue, the default exchange, auto-ack on another connection and another node."""
    publisher = connect(1).channel()
    publisher.queue_declare(queue=name)
    got = []
    consumer = connect(2).channel()
    consumer.queue_declare(queue=name)
    consumer.basic_consume(queue=name, on_message_callback=lambda _c, _m, _p, body: got.append(body), auto_ack=True)
    for number in range(30):
        publisher.basic_publish(exchange="", routing_key=name, body=b"line %d" % number)
    while len(got) < 30:
        consumer.connection.process_data_events(time_limit=1)
    assert got == [b"line %d" % number for number in range(30)]


def test_publish_subscribe_with_server_named_queues(connect, name):
    publisher = connect(1).channel()
    publisher.exchange_declare(exchange=name, exchange_type="fanout")
    got = {}
    subscribers = []
    for node in NODES:
        channel = connect(node).channel()
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        assert queue.startswith("amq.gen-")
        channel.queue_bind(exchange=name, queue=queue)
        got[node] = []
        channel.basic_consume(
            queue=queue, on_message_callback=lambda _c, _m, _p, body, node=node: got[node].append(body), auto_ack=True)
        subscribers.append(channel)
    publisher.confirm_delivery()
    for number in range(10):
        publisher.basic_publish(exchange=name, routing_key="", body=b"%d" % number)
    for _ in range(100):
        if all(len(bodies) == 10 for bodies in got.values()):
            break
        for channel in subscribers:
            channel.connection.process_data_events(time_limit=0.05)
    assert all(bodies == [b"%d" % number for number in range(10)] for bodies in got.values()), got


def test_rpc_over_an_exclusive_reply_queue(connect, name):
    ready, stop = threading.Event(), threading.Event()

    def serve():
        channel = connect(2).channel()
        channel.queue_declare(queue=name)
        channel.basic_qos(prefetch_count=1)

        def answer(ch, method, properties, body):
            ch.basic_publish(
                exchange="", routing_key=properties.reply_to,
                properties=pika.BasicProperties(correlation_id=properties.correlation_id), body=b"%d" % (int(body) * 2))
            ch.basic_ack(delivery_tag=method.delivery_tag)

        channel.basic_consume(queue=name, on_message_callback=answer)
        ready.set()
        while not stop.is_set():
            channel.connection.process_data_events(time_limit=0.05)

    server = threading.Thread(target=serve)
    server.start()
    try:
        assert ready.wait(10)
        channel = connect(1).channel()
        replies = channel.queue_declare(queue="", exclusive=True).method.queue
        answers = {}
        channel.basic_consume(
            queue=replies, auto_ack=True,
            on_message_callback=lambda _c, _m, properties, body: answers.update({properties.correlation_id: body}))
        for number in range(10):
            channel.basic_publish(
                exchange="", routing_key=name, body=b"%d" % number,
                properties=pika.BasicProperties(reply_to=replies, correlation_id=str(number)))
        for _ in range(200):
            if len(answers) == 10:
                break
            channel.connection.process_data_events(time_limit=0.05)
        assert answers == {str(number): b"%d" % (number * 2) for number in range(10)}
    finally:
        stop.set()
        server.join()


def test_exclusive_queue_is_locked_and_gone_with_its_connection(connect, name):
    owner = connect(1)
    owner.channel().queue_declare(name, exclusive=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        connect(2).channel().queue_declare(name, passive=True)
    assert closed.value.reply_code == 405
    owner.close()
    for _ in range(200):
        try:
            connect(2).channel().queue_declare(name, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:
                return
    pytest.fail("the exclusive queue outlived its connection")


@pytest.mark.parametrize("change", [{"durable": False}, {"arguments": {"x-max-length": 5}}])
def test_inequivalent_declaration_is_refused(connect, name, change):
    channel = connect(1).channel()
    channel.queue_declare(name, durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_declare(name, **{"durable": True, **change})
    assert closed.value.reply_code == 406
    assert "inequivalent arg" in closed.value.reply_text


def test_wrong_password_is_refused(connect):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(1, credentials=pika.PlainCredentials("guest", "wrong"))


def test_unknown_virtual_host_is_refused(connect):
    with pytest.raises((pika.exceptions.ProbableAccessDeniedError, pika.exceptions.ConnectionClosedByBroker)):
        connect(1, virtual_host="nowhere")
