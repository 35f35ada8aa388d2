"""What a start read is told for each queue, and what rots in cold data of a running node is repaired."""
import json
import os
import pathlib
import shutil

import pika
import pytest

from conftest import OFFSET, ROOT, connect, run, wait_for

PERSISTENT = pika.BasicProperties(delivery_mode=2)
BINARY = os.environ.get("WARREN_BINARY", str(ROOT / ".build/release/warren"))


def status(node, *options, offset=OFFSET, check=True):
    """`warren status --recovery`."""
    address = f"http://127.0.0.1:{15671 + node + offset}"
    return run(BINARY, "status", "--recovery", "--node", address, *options, check=check)


def publish(queue, bodies, connection):
    channel = connection.channel()
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish("", queue, body, PERSISTENT)
    connection.close()


def test_a_restart_tells_what_it_read(queue):
    publish(queue, [b"%d" % number for number in range(200)], connect(1))
    run("Cluster/node", 2, "kill")
    run("Cluster/up")
    wait_for(lambda: status(2, check=False).returncode == 0, what="a node that has caught up")
    report = json.loads(status(2, "--format", "json").stdout)
    row = next(row for row in report["queues"] if row["name"] == queue)
    assert row["vhost"] == "/" and row["caught_up"] and row["caught_up_milliseconds"] >= 0
    # 200 publishes are 200 messages in some entries, none of them missing.
    assert row["entries"] > 0 and row["entry_bytes"] > 200 and row["replayed"] == row["entries"]
    assert row["missing"] == row["damaged"] == row["repaired"] == 0
    assert row["leader"].startswith("warren-")
    assert report["incarnation"] > 1 and report["store"]["segments"] > 0 and not report["store"]["clean_stop"]
    table = status(2).stdout
    assert any(line.split()[:3] == [queue, "/", str(row["entries"])] for line in table.splitlines()), table
    assert "everything found is applied" in table
    opened = [line for line in run("Cluster/node", 2, "log").stdout.splitlines() if "store opened" in line]
    assert "clean_stop=false" in opened[-1] and "segments=" in opened[-1]


@pytest.fixture
def scrubbed(tmp_path):
    """A cluster of its own that is scrubbed again and again."""
    offset = OFFSET + 100
    environment = {
        "WARREN_CLUSTER_DIR": str(tmp_path / "cluster"), "WARREN_PORT_OFFSET": str(offset),
        "WARREN_SCRUB_INTERVAL": "200", "WARREN_SCRUB_RATE": "256MiB"}
    run("Cluster/up", "--fresh", env=environment)
    wait_for(lambda: run("Cluster/status", check=False, env=environment).returncode == 0, what="a healthy cluster")
    yield environment, offset
    run("Cluster/down", env=environment)
    shutil.rmtree(tmp_path / "cluster", ignore_errors=True)


def test_the_scrub_repairs_what_nobody_reads(scrubbed):
    environment, offset = scrubbed

    def open_connection():
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5672 + offset, heartbeat=30))

    connection = open_connection()
    connection.channel().queue_declare("cold", durable=True)
    # The first segment has 4 MiB, so it is sealed.
    bodies = [os.urandom(64 << 10) for _ in range(100)]
    publish("cold", bodies, connection)
    segment = pathlib.Path(environment["WARREN_CLUSTER_DIR"]) / "node-2/data/segment-0000000001"
    place = segment.read_bytes().index(bodies[5][1000:1100])
    with open(segment, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))

    def log():
        return run("Cluster/node", 2, "log", env=environment).stdout

    wait_for(lambda: "an entry was repaired" in log(), what="a repair")
    found = [line for line in log().splitlines() if "an entry is damaged" in line]
    assert len(found) == 1 and "segment=1" in found[0] and "offset=" in found[0], found
    scrub = json.loads(status(2, "--format", "json", offset=offset).stdout)["scrub"]
    assert scrub["damaged_entries"] == scrub["repaired_entries"] == 1 and scrub["passes"] > 0
    # Nothing is damaged any more, and the messages are what they were.
    passes = scrub["passes"]

    def later():
        scrub = json.loads(status(2, "--format", "json", offset=offset).stdout)["scrub"]
        return scrub["passes"] > passes + 1 and scrub

    assert wait_for(later, what="two more passes")["damaged_entries"] == 1
    channel = open_connection().channel()
    taken = []
    for method, _, body in channel.consume("cold", inactivity_timeout=10):
        assert method is not None, f"{len(taken)} of {len(bodies)} messages came"
        taken.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(taken) == len(bodies):
            break
    assert taken == bodies
    channel.connection.close()
