"""The failover probe with each of its faults, for a few trials: it measures, heals, and tells a regression."""
import json
import os
import shutil
import signal
import subprocess
import urllib.request

import pytest

from conftest import NODES, OFFSET, ROOT, run, wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="cuts and frozen disks are made by root only")
FAULTS = ["kill", "pause", "stop", *(pytest.param(fault, marks=needs_root) for fault in ("partition", "stall"))]


def measure(tmp_path, *arguments, check=True):
    """Runs the probe; what it printed and its report."""
    report = tmp_path / "report.json"
    done = run("Chaos/failover", "--json", report, *arguments, check=check, timeout=300)
    return done, json.loads(report.read_text())


def drop_rules():
    if not shutil.which("iptables-save"):
        return []
    rules = subprocess.run(["iptables-save", "-t", "filter"], capture_output=True, text=True).stdout
    return [rule for rule in rules.splitlines() if f"warren +{OFFSET} " in rule]


def paused():
    for node in NODES:
        pid = run("Cluster/node", node, "pid", check=False).stdout.strip()
        if pid and open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T":
            return node
    return None


def healthy():
    return run("Cluster/status", check=False).returncode == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_measured_and_healed(cluster, tmp_path, fault):
    picture = tmp_path / "report.svg"
    done, report = measure(tmp_path, "--fault", fault, "--trials", 2, "--svg", picture)
    assert "lost 0, duplicates 0, reordered 0" in done.stdout
    assert report["fault"] == fault and report["summary"]["ok"] and len(report["trials"]) == 2
    for trial in report["trials"]:
        stages = trial["stages"]
        assert stages["complete"] and 0 <= stages["noticed_ms"] <= stages["elected_ms"] <= stages["first_commit_ms"]
        assert trial["unavailability_ms"] > 0 and trial["clients_ms"] >= 0
    assert picture.read_text().startswith("<svg ") and "election" in picture.read_text()
    assert not drop_rules() and paused() is None
    wait_for(healthy, what="a healthy cluster")


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_clients_on_the_leader_take_the_next_address(cluster, tmp_path, fault):
    _, report = measure(tmp_path, "--fault", fault, "--clients", "leader", "--trials", 1)
    trial = report["trials"][0]
    assert trial["ok"] and trial["publisher_reconnects"] >= 1 and trial["consumer_reconnects"] >= 1


def test_all_queues_are_led_again(cluster, tmp_path):
    done, report = measure(tmp_path, "--queues", 100, "--trials", 1)
    stages = report["trials"][0]["stages"]
    # The leaders are spread: about a third of the queues lost theirs, on each survivor.
    assert stages["complete"] and stages["queues"] >= 25 and stages["all_led_ms"] >= stages["noticed_ms"]
    assert "all queues led" in done.stdout


def test_a_regression_fails_the_run(cluster, tmp_path):
    _, report = measure(tmp_path, "--fault", "pause", "--trials", 1)
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(report))
    done, _ = measure(tmp_path, "--fault", "pause", "--trials", 1, "--baseline", baseline, "--tolerance", 1000)
    assert "compared with the baseline" in done.stdout and "REGRESSION" not in done.stdout
    report["summary"]["unavailability_ms"].update({"p50": 1, "p99": 1})
    baseline.write_text(json.dumps(report))
    done, _ = measure(tmp_path, "--fault", "pause", "--trials", 1, "--baseline", baseline, check=False)
    assert done.returncode == 1 and "REGRESSION" in done.stdout
    done = run("Chaos/failover", "--baseline", __file__, check=False)
    assert done.returncode == 64 and "is no report" in done.stderr


@pytest.mark.parametrize("fault, is_made", [("pause", paused), pytest.param("partition", drop_rules, marks=needs_root)])
def test_an_interrupted_run_heals(cluster, fault, is_made):
    probe = subprocess.Popen(
        [ROOT / "Chaos/failover", "--fault", fault, "--trials", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True)
    try:
        wait_for(is_made, seconds=60, what="the fault")
        probe.send_signal(signal.SIGINT)
        output, _ = probe.communicate(timeout=60)
    finally:
        probe.kill()
    assert probe.returncode == 130, output
    assert not is_made()
    wait_for(healthy, what="a healthy cluster")
    queues = json.load(urllib.request.urlopen(request("queues")))
    assert not [queue["name"] for queue in queues if queue["name"].startswith("failover-")]


def request(path):
    call = urllib.request.Request(f"http://127.0.0.1:{15671 + NODES[0] + OFFSET}/api/{path}")
    call.add_header("Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")
    return call


@needs_root
def test_a_killed_probe_leaves_no_cut(cluster):
    """What makes the cut heals when nobody holds its input any more."""
    probe = subprocess.Popen(
        [ROOT / "Chaos/failover", "--fault", "partition", "--trials", "1"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        wait_for(drop_rules, seconds=60, what="the fault")
    finally:
        probe.kill()
        probe.wait()
    wait_for(lambda: not drop_rules(), what="the end of the cut")
    wait_for(healthy, what="a healthy cluster")


def test_events_tell_who_leads(cluster, queue):
    """The nodes' own record of elections: numbered, and asked for from a number on."""
    def events(node, after=0):
        call = request(f"warren/events?after={after}")
        call.full_url = call.full_url.replace(str(15671 + NODES[0] + OFFSET), str(15671 + node + OFFSET))
        return json.load(urllib.request.urlopen(call))

    leader = int(wait_for(lambda: run("Cluster/leader", queue, check=False).stdout, what="a leader").split()[0])
    marks = {node: events(node)["next_sequence"] - 1 for node in NODES}
    run("Cluster/node", leader, "kill")
    survivors = [node for node in NODES if node != leader]
    wait_for(
        lambda: any(event["event"] == "committed" and event.get("queue") == queue
                    for node in survivors for event in events(node, marks[node])["events"]), what="a new leader")
    for node in survivors:
        answer = wait_for(lambda: (lambda found: found if found["leaderless_groups"] == 0 else None)(
            events(node, marks[node])), what="leaders for all")
        numbers = [event["sequence"] for event in answer["events"]]
        assert numbers == list(range(marks[node] + 1, answer["next_sequence"]))
        suspicion = next(event for event in answer["events"] if event["event"] == "node_suspected")
        assert suspicion["reason"] == "link_reset" and suspicion["node"].startswith(f"warren-{leader}@")
        assert any(event["event"] == "all_led" for event in answer["events"])
        times = [event["microseconds"] for event in answer["events"]]
        assert times == sorted(times) and times[-1] <= answer["microseconds"]
