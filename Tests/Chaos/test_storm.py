"""A short storm leaves everything in order, and finds out a broker that lies once."""
import json
import os
import shutil
import signal
import subprocess

import pytest

from conftest import OFFSET, ROOT, run

KINDS = "kill,kill-all,stop,pause,corrupt,disconnect"


def test_a_storm_passes(cluster, tmp_path):
    report = tmp_path / "storm.json"
    kinds = () if os.geteuid() == 0 else ("--faults", KINDS)
    done = run("Chaos/storm", "--for", 20, "--seed", 1, "--json", report, *kinds, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, unexplained duplicates 0, order violations 0, acks undone 0" in done.stdout
    counts = json.loads(report.read_text())
    assert counts["ok"] and counts["faults"] >= 3 and counts["confirmed"] > 1000
    assert counts["delivered"] >= counts["confirmed"]


@pytest.mark.parametrize("lie, word", [("drop", "lost"), ("duplicate", "duplicates"), ("swap", "order violations")])
def test_a_storm_notices_a_lie(tmp_path, lie, word):
    environment = {
        "WARREN_CLUSTER_DIR": str(tmp_path / "cluster"), "WARREN_PORT_OFFSET": str(OFFSET + 100),
        "WARREN_TEST_SABOTAGE": lie}
    try:
        run("Cluster/up", "--fresh", env=environment)
        done = run(
            "Chaos/storm", "--for", 5, "--seed", 2, "--faults", KINDS, check=False, env=environment, timeout=300)
        assert done.returncode == 1, done.stdout + done.stderr
        verdict = done.stdout.splitlines()[-1]
        assert f"{word} 0" not in verdict and word in verdict, done.stdout
    finally:
        run("Cluster/down", env=environment)
        shutil.rmtree(tmp_path / "cluster", ignore_errors=True)


def test_an_interrupted_storm_leaves_a_healthy_cluster(cluster):
    storm = subprocess.Popen(
        [ROOT / "Chaos/storm", "--for", "60", "--seed", "3", "--faults", "pause,kill,stop"], stdout=subprocess.PIPE,
        text=True)
    assert " node " in storm.stdout.readline()
    storm.send_signal(signal.SIGINT)
    storm.communicate(timeout=60)
    assert storm.returncode == 130
    assert "storm-" not in run("Cluster/status").stdout


def test_a_storm_needs_a_cluster(tmp_path):
    done = run("Chaos/storm", "--for", 1, check=False, env={"WARREN_CLUSTER_DIR": str(tmp_path)})
    assert done.returncode == 1 and "Cluster/up" in done.stderr
