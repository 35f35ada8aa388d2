"""The scripts that pause, cut off and slow down nodes do what they say, end it, and clean up after each other."""
import os
import signal
import socket
import subprocess
import time

import pytest

from conftest import NODES, OFFSET, ROOT, connect, run, wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="packet filter and mounts are for root only")


def start(*command, env=None):
    """Starts a script and waits for the first line it says."""
    process = subprocess.Popen(
        [str(ROOT / command[0]), *map(str, command[1:])], stdout=subprocess.PIPE, text=True,
        env={**os.environ, **(env or {})})
    return process, process.stdout.readline()


def interrupted(process):
    """Ends it as Ctrl-C does, and returns what it still said."""
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    return rest


def state(node):
    pid = run("Cluster/node", node, "pid").stdout.strip()
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


# Pauses


def test_a_paused_node_goes_on(cluster):
    began = time.monotonic()
    process, said = start("Chaos/pause-node", 2, "--for", 0.5)
    assert "node 2" in said and "paused" in said
    assert state(2) == "T"
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "goes on" in rest
    assert time.monotonic() - began >= 0.5
    assert state(2) != "T"


def test_an_interrupted_pause_ends(cluster):
    process, _ = start("Chaos/pause-node", 2, "--for", 60)
    assert state(2) == "T"
    assert "goes on" in interrupted(process)
    assert state(2) != "T"


# Cuts, between sockets of the test's own that stand where the nodes' would


@pytest.fixture
def five(tmp_path):
    """A cluster of five that consists of listening sockets."""
    offset = OFFSET + 100
    listeners = {}
    for node in range(1, 6):
        (tmp_path / f"node-{node}").mkdir()
        (tmp_path / f"node-{node}/warren.conf").touch()
        listeners[node] = socket.create_server((f"127.0.0.{node}", 25671 + node + offset))
        listeners[node].settimeout(5)
    environment = {"WARREN_CLUSTER_DIR": str(tmp_path), "WARREN_PORT_OFFSET": str(offset)}
    yield environment, listeners
    run("Chaos/heal", env=environment)
    for listener in listeners.values():
        listener.close()


def dial(listeners, source, target, timeout=5):
    """A connection from one node to another."""
    return socket.create_connection(listeners[target].getsockname(), timeout, (f"127.0.0.{source}", 0))


def sees(listeners, source, target):
    try:
        dial(listeners, source, target, timeout=0.3).close()
        return True
    except TimeoutError:
        return False


def cut_pairs(listeners):
    """The pairs of nodes that cannot connect."""
    return {(a, b) for a in listeners for b in listeners if a < b and not sees(listeners, a, b)}


def arrives(sender, receiver):
    receiver.settimeout(0.3)
    sender.sendall(b"x")
    try:
        return receiver.recv(1) == b"x"
    except TimeoutError:
        return False


@needs_root
def test_cuts_of_each_shape(five):
    environment, listeners = five
    for arguments, expected in (
            (("2",), {(1, 2), (2, 3), (2, 4), (2, 5)}), (("2", "--from", "4"), {(2, 4)}),
            (("ring",), {(1, 3), (1, 4), (2, 4), (2, 5), (3, 5)})):
        said = run("Chaos/partition", *arguments, env=environment).stdout
        assert cut_pairs(listeners) == expected, said
        # Twice is once.
        run("Chaos/partition", *arguments, env=environment)
        assert "removed" in run("Chaos/heal", env=environment).stdout
        assert cut_pairs(listeners) == set()
    assert "nothing" in run("Chaos/heal", env=environment).stdout


@needs_root
@pytest.mark.parametrize("way", ["out", "in"])
@pytest.mark.parametrize("opened_by", [2, 3])
@pytest.mark.parametrize("peer", [(), ("--from", "3")])
def test_one_way_cuts(five, way, opened_by, peer):
    environment, listeners = five
    near = dial(listeners, opened_by, 5 - opened_by)
    far, _ = listeners[5 - opened_by].accept()
    two, three = (near, far) if opened_by == 2 else (far, near)
    with near, far:
        assert arrives(two, three) and arrives(three, two)
        run("Chaos/partition", 2, *peer, "--one-way", way, env=environment)
        assert arrives(two, three) == (way == "in")
        assert arrives(three, two) == (way == "out")
        assert cut_pairs(listeners) == ({(2, 3)} if peer else {(1, 2), (2, 3), (2, 4), (2, 5)})


@needs_root
def test_cuts_end_by_themselves_and_one_by_one(five, tmp_path):
    environment, listeners = five
    process, said = start("Chaos/partition", 1, "--for", 60, env=environment)
    assert "cut off from its peers for 60 s" in said
    run("Chaos/partition", 5, "--from", 4, "--for", 0.2, env=environment)
    assert cut_pairs(listeners) == {(1, 2), (1, 3), (1, 4), (1, 5)}
    # Another cluster's healing is none of ours.
    other = {"WARREN_CLUSTER_DIR": str(tmp_path / "other"), "WARREN_PORT_OFFSET": str(OFFSET + 300)}
    assert "nothing" in run("Chaos/heal", env=other).stdout
    assert not sees(listeners, 1, 2)
    assert "healed" in interrupted(process)
    assert cut_pairs(listeners) == set()


@needs_root
def test_healing_ends_scripts_and_what_killed_ones_left(five):
    environment, listeners = five
    holding, _ = start("Chaos/partition", 1, "--for", 60, env=environment)
    killed, _ = start("Chaos/partition", 2, "--for", 60, env=environment)
    killed.kill()
    killed.communicate()
    said = run("Chaos/heal", env=environment).stdout
    assert "ended partition" in said and "rules" in said
    rest, _ = holding.communicate(timeout=20)
    assert holding.returncode == 143 and "healed" in rest
    assert cut_pairs(listeners) == set()


@needs_root
def test_a_cut_node_is_missed_and_comes_back(queue):
    leader = int(wait_for(lambda: run("Cluster/leader", queue, check=False).stdout, what="a leader").split()[0])
    other = next(node for node in NODES if node != leader)
    process, _ = start("Chaos/partition", leader, "--for", 60)
    try:
        channel = connect(other).channel()
        channel.confirm_delivery()
        for number in range(20):
            channel.basic_publish("", queue, b"%d" % number)
        channel.connection.close()
    finally:
        interrupted(process)
    connection = connect(leader)
    wait_for(
        lambda: connection.channel().queue_declare(queue, passive=True).method.message_count == 20,
        what="the messages on the node that was cut off")
    connection.close()


# Disks


def writes(directory):
    """A write to the disk, synced."""
    return subprocess.Popen(
        ["dd", "if=/dev/zero", f"of={directory}/.probe", "bs=1", "count=1", "conv=fsync", "status=none"])


@needs_root
@pytest.mark.parametrize("end", ["time", "interrupt", "heal", "killed and healed"])
def test_a_stalled_disk(cluster, end):
    data = os.path.join(os.environ.get("WARREN_CLUSTER_DIR", ROOT / ".cluster"), "node-3/data")
    run("Chaos/slow-disk", 3, "--prepare")
    assert writes(data).wait(10) == 0
    process, said = start("Chaos/slow-disk", 3, "--for", 1 if end == "time" else 60, "--stall")
    assert "stalls" in said
    probe = writes(data)
    with pytest.raises(subprocess.TimeoutExpired):
        probe.wait(0.3)
    if end == "interrupt":
        assert "thawed" in interrupted(process)
    elif end != "time":
        if end == "killed and healed":
            process.kill()
            process.wait(10)
        assert "thawed" in run("Chaos/heal").stdout or end == "heal"
    assert probe.wait(10) == 0
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == {"time": 0, "interrupt": 130, "heal": 143, "killed and healed": -9}[end]
    os.unlink(f"{data}/.probe")


@needs_root
def test_a_slow_disk_is_slow_and_serves(queue):
    run("Chaos/slow-disk", 3, "--prepare")
    process, said = start("Chaos/slow-disk", 3, "--for", 2, "--freeze", 50, "--every", 100)
    assert "slow" in said
    channel = connect(3).channel()
    channel.confirm_delivery()
    published = 0
    while process.poll() is None:
        channel.basic_publish("", queue, b"x")
        published += 1
    assert published > 0 and "thawed" in process.stdout.read()
    assert channel.queue_declare(queue, passive=True).method.message_count == published
    channel.connection.close()


@needs_root
def test_a_cluster_goes_down_and_up_out_of_all_faults(tmp_path):
    environment = {"WARREN_CLUSTER_DIR": str(tmp_path / "cluster"), "WARREN_PORT_OFFSET": str(OFFSET + 100)}
    try:
        for end in (("Cluster/down",), ("Cluster/up", "--fresh")):
            run("Cluster/up", env=environment)
            run("Chaos/slow-disk", 2, "--prepare", env=environment)
            held = [
                start("Chaos/slow-disk", 2, "--for", 60, "--stall", env=environment)[0],
                start("Chaos/pause-node", 1, "--for", 60, env=environment)[0],
                start("Chaos/partition", 3, "--for", 60, env=environment)[0]]
            for process in held:
                process.kill()
                process.communicate()
            run(*end, env=environment)
            rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
            assert str(tmp_path) not in rules
        assert run("Cluster/status", env=environment).returncode == 0
    finally:
        run("Cluster/down", env=environment)


def test_chaos_scripts_say_why_they_cannot_act(cluster):
    for command in (
            ("Chaos/pause-node", "9", "--for", "1"), ("Chaos/pause-node", "1", "--for", "x"), ("Chaos/pause-node", "1"),
            ("Chaos/partition", "9"), ("Chaos/partition", "1", "--from", "1"), ("Chaos/partition", "ring"),
            ("Chaos/slow-disk", "1"), ("Chaos/slow-disk", "1", "--for", "1", "--freeze", "9", "--every", "9"),
            ("Chaos/heal", "1"), ("Chaos/storm",)):
        done = run(*command, check=False)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert command[0].split("/")[1] in run(command[0], "--help").stdout
