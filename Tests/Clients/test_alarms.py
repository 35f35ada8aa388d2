"""Disk and memory alarms, on nodes of their own whose limits are out of reach."""
import base64
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pika
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("WARREN_BINARY", str(ROOT / ".build/release/warren"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """A single node with settings of its own."""

    def __init__(self, directory, *settings):
        self.amqp, self.http = free_port(), free_port()
        self.log = open(directory / "log", "w+")
        arguments = [
            f"data_dir={directory / 'data'}", f"listeners.tcp.default=127.0.0.1:{self.amqp}",
            "management.tcp.ip=127.0.0.1", f"management.tcp.port={self.http}",
            f"cluster_formation.classic_config.nodes.1=warren@127.0.0.1:{free_port()}", *settings]
        command = [BINARY, "server"] + [part for setting in arguments for part in ("--set", setting)]
        self.process = subprocess.Popen(command, stderr=self.log, stdout=self.log)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except pika.exceptions.AMQPError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.amqp, blocked_connection_timeout=20))

    def get(self, path):
        """Status and JSON of an answer of the management API."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}/api/{path}")
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def node(tmp_path):
    """Starts nodes; all are gone at the end of the test."""
    started = []

    def start(*settings):
        started.append(Node(tmp_path, *settings))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("setting, reason, resource", [
    ("disk_free_limit.absolute=1PB", "low on disk", "disk space"),
    ("vm_memory_high_watermark.absolute=1MiB", "low on memory", "memory"),
])
def test_an_alarm_blocks_publishers_and_nobody_else(node, setting, reason, resource):
    server = node(setting)
    publisher, consumer = server.connect(), server.connect()
    reasons = []
    publisher.add_on_connection_blocked_callback(lambda _, frame: reasons.append(frame.method.reason))
    channel = publisher.channel()
    channel.queue_declare("q", durable=True)
    # The first one goes through, and shows that the connection publishes.
    channel.basic_publish("", "q", b"one")
    deadline = time.monotonic() + 10
    while not reasons and time.monotonic() < deadline:
        publisher.process_data_events(0.1)
    assert reasons == [reason]

    other = consumer.channel()
    method, _, body = other.basic_get("q")
    assert body == b"one"
    other.basic_ack(method.delivery_tag)
    other.queue_purge("q")
    assert other.queue_declare("q", durable=True, passive=True).method.message_count == 0
    other.queue_delete("q")

    for check in ["alarms", "local-alarms"]:
        status, answer = server.get(f"health/checks/{check}")
        assert status == 503 and answer["status"] == "failed"
        assert [alarm["resource"] for alarm in answer["alarms"]] == [resource]
    _, nodes = server.get("nodes")
    assert nodes[0]["mem_alarm"] == (resource == "memory")
    assert nodes[0]["disk_free_alarm"] == (resource == "disk space")
    assert server.text().count("alarm raised") == 1


def test_a_node_with_room_has_no_alarm(node):
    server = node()
    for check in ["alarms", "local-alarms"]:
        assert server.get(f"health/checks/{check}") == (200, {"status": "ok"})
    _, nodes = server.get("nodes")
    assert 0 < nodes[0]["mem_used"] < nodes[0]["mem_limit"]
    assert nodes[0]["disk_free"] > nodes[0]["disk_free_limit"] == 50_000_000
    assert not nodes[0]["mem_alarm"] and not nodes[0]["disk_free_alarm"]
