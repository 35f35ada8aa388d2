"""A client that means harm harms nobody else."""
from conftest import run


def test_hostile_clients_harm_nobody(cluster):
    done = run("Chaos/hostile", "--inputs", 1_000, "--quiet-for", 5, "--untimed", check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1000 inputs in" in done.stdout
