"""A node whose data directory is gone comes back empty, gets everything from the others, and is worth as much as before."""
import os
import shutil

import pytest

from conftest import NODES, ROOT, run, wait_for
from test_chaos import Publisher, drain, judge, leader
from test_disks import log_of

TRIALS = int(os.environ.get("WARREN_CHAOS_TRIALS", "1"))


def directory(node):
    return os.path.join(os.environ.get("WARREN_CLUSTER_DIR", str(ROOT / ".cluster")), f"node-{node}", "data")


def after(node, offset, text, seconds=60):
    wait_for(lambda: text in log_of(node)[offset:], seconds=seconds, what=f"'{text}' in the log of node {node}")


@pytest.fixture
def alone(cluster):
    """Other tests count on data directories that were never replaced, and leave some on file systems of their own."""
    run("Cluster/up", "--fresh")
    yield
    run("Cluster/down")
    run("Cluster/up", "--fresh")


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_node_without_its_data_rejoins(alone, queue, trial):
    lost = NODES[trial % len(NODES)]
    others = [node for node in NODES if node != lost]
    publishers = [Publisher(node, queue, f"p{node}") for node in others]
    wait_for(lambda: all(len(publisher.confirmed) > 300 for publisher in publishers), what="load")
    run("Cluster/node", lost, "kill")
    before = {node: len(log_of(node)) for node in NODES}
    old = directory(lost) + ".old"
    shutil.move(directory(lost), old)
    run("Cluster/node", lost, "start")
    after(lost, before[lost], "it rejoins")
    for node in others:
        after(node, before[node], f"node {lost} lost its data directory")
    after(lost, before[lost], f"node {lost} has all of its")
    counts = [len(publisher.confirmed) for publisher in publishers]
    wait_for(
        lambda: all(len(publisher.confirmed) > count + 100 for publisher, count in zip(publishers, counts)),
        what="confirms after the rejoin")
    # With the rejoined node as a voter the others can do without one of themselves.
    gone = leader(queue) if leader(queue) != lost else others[0]
    staying = next(node for node in others if node != gone)
    survivor = publishers[others.index(staying)]
    run("Cluster/node", gone, "kill")
    count = len(survivor.confirmed)
    wait_for(lambda: len(survivor.confirmed) > count + 100, what="confirms without another node")
    confirmed = [body for publisher in publishers for body in publisher.stop()]
    judge(confirmed, drain(queue, lost))
    run("Cluster/node", gone, "start")

    # The old directory comes back: it says why it cannot be, and ends.
    run("Cluster/node", lost, "stop")
    shutil.move(directory(lost), directory(lost) + ".new")
    shutil.move(old, directory(lost))
    offset = len(log_of(lost))
    run("Cluster/node", lost, "start", "--no-wait")
    after(lost, offset, "another data directory has taken this one's place")
    wait_for(lambda: run("Cluster/node", lost, "pid", check=False).returncode != 0, what="the end of the old store")
    shutil.rmtree(directory(lost))
    shutil.move(directory(lost) + ".new", directory(lost))
    run("Cluster/node", lost, "start")
