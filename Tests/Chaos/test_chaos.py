"""Faults on real processes: what was confirmed is there, and the cluster comes back by itself."""
import json
import shutil
import subprocess
import threading
import time

import pika
import pytest

from conftest import NODES, OFFSET, ROOT, connect, run, wait_for

PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Publisher(threading.Thread):
    """Publishes with confirms, one at a time, until it is stopped or its connection breaks."""

    padding = b""

    def __init__(self, node, queue, mark):
        super().__init__(daemon=True)
        self.node, self.queue, self.mark = node, queue, mark
        self.confirmed, self.sent, self.stopped = [], 0, threading.Event()
        self.start()

    def run(self):
        try:
            channel = connect(self.node).channel()
            channel.confirm_delivery()
            while not self.stopped.is_set():
                body = f"{self.mark}-{self.sent}".encode()
                self.sent += 1
                channel.basic_publish("", self.queue, body + self.padding, PERSISTENT)
                self.confirmed.append(body)
            channel.connection.close()
        except (pika.exceptions.AMQPError, OSError):
            pass

    def stop(self):
        self.stopped.set()
        self.join(30)
        assert not self.is_alive()
        return self.confirmed


def drain(queue, node=1):
    """Everything in the queue, in order."""
    connection = connect(node)
    channel = connection.channel()
    expected = channel.queue_declare(queue, passive=True).method.message_count
    channel.basic_qos(prefetch_count=200)
    bodies = []
    if expected:
        for method, _, body in channel.consume(queue, inactivity_timeout=10):
            assert method is not None, f"{len(bodies)} of {expected} messages came"
            bodies.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(bodies) == expected:
                break
        channel.cancel()
    connection.close()
    return bodies


def judge(confirmed, bodies):
    """Every confirmed message is there once; what one connection published is in order."""
    assert len(bodies) == len(set(bodies)), "a message is there twice"
    missing = set(confirmed) - set(bodies)
    assert not missing, f"{len(missing)} confirmed messages are lost"
    marks = {body.split(b"-")[0] for body in bodies}
    for mark in marks:
        numbers = [int(body.split(b"-")[1]) for body in bodies if body.startswith(mark + b"-")]
        assert numbers == sorted(numbers)


def test_failover_loses_nothing(cluster, tmp_path):
    report = tmp_path / "failover.json"
    done = run("Chaos/failover", "--fault", "kill", "--trials", 3, "--json", report, timeout=300)
    assert "lost 0" in done.stdout
    assert json.loads(report.read_text())


@pytest.mark.parametrize("lie", ["drop", "duplicate", "swap"])
def test_failover_notices_a_lie(tmp_path, lie):
    """A broker that drops, duplicates or swaps one confirmed message is found out."""
    environment = {
        "WARREN_CLUSTER_DIR": str(tmp_path / "cluster"), "WARREN_PORT_OFFSET": str(OFFSET + 100),
        "WARREN_TEST_SABOTAGE": lie}
    try:
        run("Cluster/up", "--fresh", env=environment)
        done = run("Chaos/failover", "--trials", 1, check=False, env=environment, timeout=180)
        assert done.returncode not in (0, 64, 69), done.stdout + done.stderr
        assert "lost" in done.stdout
    finally:
        run("Cluster/down", env=environment)
        shutil.rmtree(tmp_path / "cluster", ignore_errors=True)


def test_kill_leader_script(queue):
    publisher = Publisher(next(node for node in NODES if node != leader(queue)), queue, "p")
    wait_for(lambda: len(publisher.confirmed) > 100, what="load")
    before = leader(queue)
    run("Chaos/kill-leader", queue)
    count = len(publisher.confirmed)
    wait_for(lambda: len(publisher.confirmed) > count + 100, what="confirms after the kill")
    assert leader(queue) != before
    confirmed = publisher.stop()
    run("Cluster/up")
    judge(confirmed, drain(queue, before))


def leader(queue):
    return int(wait_for(lambda: run("Cluster/leader", queue, check=False).stdout, what="a leader").split()[0])


def test_all_nodes_killed_at_once(queue):
    publishers = [Publisher(node, queue, f"p{index}") for index, node in enumerate(NODES * 2)]
    wait_for(lambda: sum(len(publisher.confirmed) for publisher in publishers) > 1000, what="load")
    pids = [run("Cluster/node", node, "pid").stdout.strip() for node in NODES]
    subprocess.run(["kill", "-9", *pids], check=True)
    confirmed = [body for publisher in publishers for body in publisher.stop()]
    run("Cluster/up")
    judge(confirmed, drain(queue))


def test_one_node_down(queue):
    run("Cluster/node", 3, "kill")
    channel = connect(1).channel()
    other = f"{queue}-other"
    channel.queue_declare(other, durable=True)
    channel.confirm_delivery()
    for number in range(100):
        channel.basic_publish("", queue, b"p-%d" % number, PERSISTENT)
    channel.queue_delete(other)
    channel.connection.close()
    run("Cluster/node", 3, "start")
    judge([b"p-%d" % number for number in range(100)], drain(queue, 3))


def test_two_nodes_down_then_one_returns(queue):
    """Without a majority nothing is confirmed and nothing is lost; with it service resumes by itself."""
    publisher = Publisher(1, queue, "p")
    wait_for(lambda: len(publisher.confirmed) > 100, what="load")
    for node in (2, 3):
        run("Cluster/node", node, "kill")
    time.sleep(1)
    count = len(publisher.confirmed)
    time.sleep(2)
    assert len(publisher.confirmed) == count, "a confirm without a majority"
    run("Cluster/node", 2, "start")
    wait_for(lambda: len(publisher.confirmed) > count + 10, what="confirms after the second node came back")
    confirmed = publisher.stop()
    run("Cluster/node", 3, "start")
    judge(confirmed, drain(queue))


def test_consumers_keep_their_deliveries(queue):
    """A leader change takes nothing from a consumer on a surviving node: no redelivery, its acks count."""
    first = leader(queue)
    survivor = next(node for node in NODES if node != first)
    channel = connect(survivor).channel()
    channel.confirm_delivery()
    for number in range(50):
        channel.basic_publish("", queue, b"p-%d" % number, PERSISTENT)
    channel.basic_qos(prefetch_count=20)
    got = []
    channel.basic_consume(queue, lambda _c, method, _p, body: got.append((method, body)))
    while len(got) < 20:
        channel.connection.process_data_events(time_limit=0.1)
    run("Chaos/kill-leader", queue)
    channel.basic_ack(got[19][0].delivery_tag, multiple=True)
    while len(got) < 40:
        channel.connection.process_data_events(time_limit=0.1)
    channel.basic_ack(got[39][0].delivery_tag, multiple=True)
    while len(got) < 50:
        channel.connection.process_data_events(time_limit=0.1)
    channel.basic_ack(0, multiple=True)
    assert [body for _, body in got] == [b"p-%d" % number for number in range(50)]
    assert not any(method.redelivered for method, _ in got)
    assert channel.queue_declare(queue, passive=True).method.message_count == 0
    channel.connection.close()


def test_graceful_stop_hands_leaderships_over(queue):
    first = leader(queue)
    survivor = next(node for node in NODES if node != first)
    publisher = Publisher(survivor, queue, "p")
    wait_for(lambda: len(publisher.confirmed) > 100, what="load")
    run("Cluster/node", first, "stop")
    count = len(publisher.confirmed)
    wait_for(lambda: len(publisher.confirmed) > count + 100, what="confirms after the stop")
    judge(publisher.stop(), drain(queue, survivor))


def test_scripts_say_why_they_cannot_act(cluster):
    for command in (("Chaos/kill-leader", "no-such-queue"), ("Chaos/kill-node", "9"), ("Cluster/node", "9", "start")):
        done = run(*command, check=False)
        assert done.returncode != 0
        assert done.stderr.strip()
