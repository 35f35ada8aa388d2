"""The same from two more clients, whose habits differ: aio-pika (asynchronous) and py-amqp (Celery's)."""
import asyncio
import socket

import aio_pika
import amqp

from conftest import amqp_port


def test_aio_pika_publishes_and_consumes(name):
    async def scenario():
        publisher = await aio_pika.connect(port=amqp_port(1))
        consumer = await aio_pika.connect(port=amqp_port(3))
        async with publisher, consumer:
            channel = await publisher.channel(publisher_confirms=True)
            await channel.declare_queue(name, durable=True)
            messages = [
                aio_pika.Message(b"%d" % number, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                for number in range(100)]
            await asyncio.gather(*(channel.default_exchange.publish(message, name) for message in messages))
            other = await consumer.channel()
            await other.set_qos(prefetch_count=10)
            queue = await other.declare_queue(name, durable=True)
            got = []
            async with queue.iterator(timeout=10) as iterator:
                async for message in iterator:
                    async with message.process():
                        got.append(message.body)
                    if len(got) == 100:
                        break
            assert sorted(got) == sorted(message.body for message in messages)
            await queue.delete(if_unused=False, if_empty=False)

    asyncio.run(scenario())


def test_py_amqp_publishes_and_consumes(name):
    with amqp.Connection(f"127.0.0.1:{amqp_port(2)}", confirm_publish=True) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, auto_delete=False)
        for number in range(20):
            channel.basic_publish(amqp.Message(b"%d" % number, delivery_mode=2), routing_key=name)
        got = []

        def received(message):
            got.append(message.body)
            channel.basic_ack(message.delivery_tag)

        channel.basic_consume(name, callback=received)
        while len(got) < 20:
            connection.drain_events(timeout=10)
        body = [item if isinstance(item, bytes) else item.encode() for item in got]
        assert body == [b"%d" % number for number in range(20)]


def test_py_amqp_keeps_heartbeats_both_ways(name):
    connection = amqp.Connection(f"127.0.0.1:{amqp_port(1)}", heartbeat=1)
    with connection:
        before = connection.bytes_recv
        ticks = 0
        while ticks < 15:
            try:
                connection.drain_events(timeout=0.2)
            except (socket.timeout, TimeoutError):
                pass
            connection.heartbeat_tick()
            ticks += 1
        assert connection.bytes_recv > before
