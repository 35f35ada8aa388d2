"""Full and damaged disks of one node under load: nothing confirmed is lost, and the node says what it met.

`WARREN_CHAOS_TRIALS=20` runs each of them so often; a line per trial says what was lost and repaired."""
import base64
import json
import os
import random
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pika
import pytest

from conftest import NODES, OFFSET, ROOT, connect, run, wait_for
from test_chaos import PERSISTENT, Publisher, drain, judge, leader

TRIALS = int(os.environ.get("WARREN_CHAOS_TRIALS", "1"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a node's disk can be mounted by root only")


class LargePublisher(Publisher):
    """Publishes 64 KiB a message, so that the log fills segments."""

    padding = b"-" + bytes(65_000)


def api(node, path):
    request = urllib.request.Request(f"http://127.0.0.1:{15671 + node + OFFSET}/api/{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def alarmed(node):
    return api(node, "health/checks/alarms")[0] == 503


def log_of(node):
    return run("Cluster/node", node, "log").stdout


def short(bodies):
    """Without the padding."""
    return [b"-".join(body.split(b"-")[:2]) for body in bodies]


def declare(*names):
    channel = connect(1).channel()
    for name in names:
        channel.queue_declare(name, durable=True)
        channel.confirm_delivery()
        for number in range(200):
            channel.basic_publish("", name, b"b-%d" % number, PERSISTENT)
    channel.connection.close()


@needs_root
@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_full_disk_holds_publishers_back_and_nobody_else(queue, trial):
    chance = random.Random(trial)
    node = chance.choice(NODES)
    other = [n for n in NODES if n != node]
    run("Chaos/fill-disk", node, "--for", 1)
    acked, purged, deleted = f"{queue}-acked", f"{queue}-purged", f"{queue}-deleted"
    declare(acked, purged, deleted)
    before = log_of(node)
    kind = LargePublisher if trial % 2 else Publisher
    publishers = [kind(n, queue, f"p{index}") for index, n in enumerate(NODES)]
    wait_for(lambda: all(len(publisher.confirmed) > 100 for publisher in publishers), what="load")
    filling = subprocess.Popen(
        [ROOT / "Chaos/fill-disk", str(node), "--for", "6"], stdout=subprocess.PIPE, text=True)
    try:
        for n in NODES:
            wait_for(lambda: alarmed(n), what=f"the alarm on node {n}")
        # What is on its way is still taken; then nothing more.
        counts = None

        def quiet():
            nonlocal counts
            last, counts = counts, [len(publisher.confirmed) for publisher in publishers]
            time.sleep(0.5)
            return last == counts

        wait_for(quiet, seconds=4, what="silence of the publishers")
        for n in (node, chance.choice(other)):
            channel = connect(n).channel()
            method, _, body = channel.basic_get(acked)
            assert body.startswith(b"b-")
            channel.basic_ack(method.delivery_tag)
            channel.connection.close()
        left = len(drain(acked, chance.choice(other)))
        channel = connect(node).channel()
        assert channel.queue_purge(purged).method.message_count == 200
        channel.queue_delete(deleted)
        assert filling.poll() is None, "all of that while the disk was full"
        assert left == 198
        channel.connection.close()
        assert run("Cluster/node", node, "pid").stdout.strip()
    finally:
        filling.wait(30)
    wait_for(lambda: not any(alarmed(n) for n in NODES), what="the end of the alarm")
    counts = [len(publisher.confirmed) for publisher in publishers]
    wait_for(
        lambda: all(len(publisher.confirmed) > count + 100 for publisher, count in zip(publishers, counts)),
        what="confirms after the disk was full")
    confirmed = [body for publisher in publishers for body in publisher.stop()]
    found = short(drain(queue, node))
    judge(confirmed, found)
    said = log_of(node)[len(before):]
    assert said.count("disk alarm raised") >= 1 and said.count("disk alarm cleared") >= 1
    print(f"trial {trial}: disk of node {node} full, {len(confirmed)} confirmed, "
          f"{len(set(confirmed) - set(found))} lost, log full {said.count('the disk is full')} times")
    channel = connect(1).channel()
    for name in (acked, purged):
        channel.queue_delete(name)
    channel.connection.close()


def repairs(log):
    return len(re.findall("an entry was repaired", log))


@pytest.mark.parametrize("trial", range(TRIALS))
def test_damage_on_one_node_is_repaired(queue, trial):
    chance = random.Random(trial)
    node = chance.choice(NODES)
    others = [n for n in NODES if n != node]
    kind = LargePublisher if trial % 2 else Publisher
    publishers = [kind(n, queue, f"p{index}") for index, n in enumerate(others)]
    wait_for(lambda: all(len(publisher.confirmed) > 500 for publisher in publishers), what="load")
    run("Cluster/node", node, chance.choice(["stop", "kill"]))
    before = log_of(node)
    done = run("Chaos/corrupt", node, "--bytes", chance.choice([1, 8, 64, 200]), "--seed", trial)
    damage = done.stdout.count(" instead of ")
    assert damage > 0
    run("Cluster/node", node, "start")
    counts = [len(publisher.confirmed) for publisher in publishers]
    wait_for(
        lambda: all(len(publisher.confirmed) > count + 200 for publisher, count in zip(publishers, counts)),
        what="confirms after the damage")
    # The damaged node's copy is needed when the queue is led there.
    for n in others:
        if leader(queue) == n:
            run("Cluster/node", n, "stop")
            run("Cluster/node", n, "start")
    confirmed = [body for publisher in publishers for body in publisher.stop()]
    found = short(drain(queue, node))
    judge(confirmed, found)
    said = log_of(node)[len(before):]
    print(f"trial {trial}: {damage} bytes of node {node} damaged, {len(confirmed)} confirmed, "
          f"{len(set(confirmed) - set(found))} lost, {repairs(said)} entries repaired")


@pytest.fixture
def spoiled(cluster):
    """Node 3 will not be whole again: a new cluster follows. (An older copy of its data would make it break promises.)"""
    yield
    run("Cluster/down")
    run("Cluster/up", "--fresh")


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_a_lost_segment_costs_a_vote_and_no_message(queue, spoiled, damage):
    """What is gone may have been a vote: such a node never votes nor leads, or refuses to start, and says so."""
    publisher = LargePublisher(1, queue, "p")
    # The first segment has 4 MiB.
    wait_for(lambda: len(publisher.confirmed) > 150, seconds=60, what="a sealed segment")
    run("Cluster/node", 3, "stop")
    run("Chaos/corrupt", 3, f"--{damage}", "--seed", 1)
    before = len(log_of(3))
    started = run("Cluster/node", 3, "start", check=False).returncode == 0
    count = len(publisher.confirmed)
    wait_for(lambda: len(publisher.confirmed) > count + 50, what="confirms of the others")
    said = log_of(3)[before:]
    assert ("never votes nor leads again" in said) if started else ("lost the record of its cluster" in said)
    assert leader(queue) != 3
    confirmed = publisher.stop()
    judge(confirmed, short(drain(queue, 3 if started else 1)))


@needs_root
def test_fill_disk_cleans_up_when_it_is_interrupted(cluster):
    run("Chaos/fill-disk", 3, "--for", 1)
    filling = subprocess.Popen([ROOT / "Chaos/fill-disk", "3", "--for", "60"], stdout=subprocess.PIPE, text=True)
    assert "is full" in filling.stdout.readline()
    filling.send_signal(signal.SIGINT)
    rest, _ = filling.communicate(timeout=20)
    assert filling.returncode == 130 and "ballast is gone" in rest
    wait_for(lambda: not alarmed(3), what="the end of the alarm")


def test_corrupt_refuses_a_running_node(cluster):
    done = run("Chaos/corrupt", 1, check=False)
    assert done.returncode == 1 and "Cluster/node 1 stop" in done.stderr
    assert "byte" in run("Chaos/corrupt", 1, "--bytes", 1, "--stop").stdout
    assert run("Cluster/node", 1, "pid").stdout.strip()
