"""A cluster whose nodes the tests kill, and pika connections to it."""
import os
import pathlib
import signal
import subprocess
import time
import uuid

import pika
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OFFSET = int(os.environ.get("WARREN_PORT_OFFSET", "0"))
NODES = [1, 2, 3]

# A job in the background is started with this signal ignored, and so would be the scripts that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def run(*command, check=True, env=None, timeout=120):
    """Runs a script of the repository."""
    done = subprocess.run(
        [str(ROOT / command[0]), *map(str, command[1:])], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def wait_for(condition, seconds=20, what="the condition"):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} did not come true in {seconds} s"
        time.sleep(0.01)


def connect(node, **parameters):
    parameters.setdefault("heartbeat", 30)
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5671 + node + OFFSET, **parameters))


@pytest.fixture
def cluster():
    """All nodes up, before and after."""
    run("Cluster/up")
    wait_for(lambda: run("Cluster/status", check=False).returncode == 0, what="a healthy cluster")
    yield
    run("Cluster/up")


@pytest.fixture
def queue(cluster, request):
    name = f"{request.node.name.split('[')[0]}-{uuid.uuid4().hex[:8]}"
    connection = connect(1)
    connection.channel().queue_declare(name, durable=True)
    connection.close()
    yield name
    run("Cluster/up")
    connection = connect(1)
    connection.channel().queue_delete(name)
    connection.close()
