"""A client that means harm, in bounded amounts, and what the cluster must do about it.

Runs against a started cluster (Cluster/up). While thousands of connections flood, stall, lie about lengths and send
mutations of valid conversations, another client publishes with confirms on a node; afterwards everything must be as
before. Standard library only.
"""
import argparse
import base64
import json
import multiprocessing
import os
import pathlib
import random
import resource
import socket
import statistics
import struct
import sys
import threading
import time
import urllib.request

from wire import HEADER, Wire, frame, long, method, short

ROOT = pathlib.Path(__file__).resolve().parents[2]
OFFSET = int(os.environ.get("WARREN_PORT_OFFSET", "0"))
CLUSTER = pathlib.Path(os.environ.get("WARREN_CLUSTER_DIR", ROOT / ".cluster"))
NODES = (1, 2, 3)
HANDSHAKE_TIMEOUT = 10
CLOSE_TIMEOUT = 5


def amqp_port(node):
    return 5671 + node + OFFSET


# --- The wire, by hand: a client library would refuse to send most of this.


def content(channel, body, size=None, properties=b"\x00\x00"):
    head = struct.pack(">HHQ", 60, 0, len(body) if size is None else size) + properties
    frames = [frame(2, channel, head)]
    return frames + [frame(3, channel, body[at : at + 100_000]) for at in range(0, len(body), 100_000)]


def opening(channel_max=0, frame_max=0, heartbeat=0, properties=b""):
    """What a client says until its connection is open, all at once: the server takes it in order."""
    return [
        HEADER,
        method(0, 10, 11, long(properties) + short(b"PLAIN") + long(b"\0guest\0guest") + short(b"en_US")),
        method(0, 10, 31, struct.pack(">HIH", channel_max, frame_max, heartbeat)),
        method(0, 10, 40, short(b"/") + short(b"") + b"\0"),
    ]


def open_channel(number):
    return method(number, 20, 10, short(b""))


def publish(channel, exchange, key, body, size=None, properties=b"\x00\x00"):
    head = method(channel, 60, 40, struct.pack(">H", 0) + short(exchange) + short(key) + b"\0")
    return [head] + content(channel, body, size, properties)


def declare(channel, queue, bits, arguments=b""):
    return method(channel, 50, 10, struct.pack(">H", 0) + short(queue) + bytes([bits]) + long(arguments))


def consume(channel, queue, bits=0):
    return method(channel, 60, 20, struct.pack(">H", 0) + short(queue) + short(b"") + bytes([bits]) + long(b""))


class Client(Wire):
    """A connection that is opened, or fails to."""

    def __init__(self, node, timeout=10.0):
        super().__init__(amqp_port(node), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.socket.getsockname()[1]

    def open(self, **parameters):
        self.send(*opening(**parameters))
        self.wait(10, 41)
        return self

    def wait(self, class_id, method_id):
        """Reads up to this method and returns its arguments."""
        while True:
            kind, _, payload = self.frame()
            if kind == 1 and payload[:4] == struct.pack(">HH", class_id, method_id):
                return payload[4:]
            if kind == 1 and payload[:4] in (b"\x00\x0a\x00\x32", b"\x00\x14\x00\x28"):
                raise RuntimeError(f"closed: {payload[6:].decode(errors='replace')}")

    def ends_within(self, seconds):
        """Whether the server closes the socket; everything it says is read."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65_536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# --- The nodes, seen from outside.


def lives(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def pids():
    found = {}
    for node in NODES:
        try:
            found[node] = int((CLUSTER / f"node-{node}" / "pid").read_text())
        except (OSError, ValueError):
            found[node] = None
        if not lives(found[node]):
            sys.exit(f"node {node} does not run; start the cluster with Cluster/up")
    return found


def resident(pid):
    """Bytes; none when it has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def management(node, path):
    request = urllib.request.Request(f"http://127.0.0.1:{15671 + node + OFFSET}/api/{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def kept(node, clients):
    """How many of these clients have a socket at the node still."""
    port = f"{amqp_port(node):04X}"
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = {int(line[2][-4:], 16) for line in lines if line[1].endswith(":" + port) and line[3] == "01"}
    return sum(client.port in ports for client in clients)


def until(seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


# --- The other client: publishes with confirms, acknowledges what comes back.


def probe(node, latencies, stop, errors):
    try:
        client = Client(node).open()
        queue = f"hostile-probe-{os.getpid()}".encode()
        client.send(open_channel(1), declare(1, queue, 2))
        client.wait(50, 11)
        client.send(method(1, 85, 10, b"\0"), consume(1, queue, 2))
        client.wait(60, 21)
        while not stop.is_set():
            began = time.monotonic()
            client.send(*publish(1, b"", queue, b"x" * 200))
            client.wait(60, 80)
            latencies.append((began, time.monotonic() - began))
            time.sleep(max(0, 0.01 - (time.monotonic() - began)))
        client.send(method(1, 50, 40, struct.pack(">H", 0) + short(queue) + b"\0"))
        client.wait(50, 41)
        client.close()
    except Exception as error:  # Whatever it is, the attack reached a client that did nothing.
        errors.append(f"the other client: {error!r}")


def percentile(values, part):
    return statistics.quantiles(values, n=1_000)[int(part * 1_000) - 1]


# --- What a hostile client does. Each returns how many inputs it was.


class Pace:
    """So many inputs a second at most: what a burst does to others is that of any load, and not this one's aim."""

    def __init__(self, rate):
        self.step = 1 / rate
        self.next = time.monotonic()

    def wait(self):
        self.next = max(self.next + self.step, time.monotonic() - 10 * self.step)
        time.sleep(max(0, self.next - time.monotonic()))


class Attack:
    def __init__(self, seed, report, pace):
        self.random = random.Random(seed)
        self.report = report
        self.pace = pace
        self.conversation = self.valid_conversation()

    def node(self):
        return self.random.choice(NODES)

    def fail(self, text):
        self.report.append(text)

    @staticmethod
    def valid_conversation():
        table = short(b"x-queue-type") + b"S" + long(b"classic")
        queue, key = b"", b"k"
        nothing = struct.pack(">H", 0)
        return opening(properties=short(b"product") + b"S" + long(b"hostile")) + [
            open_channel(1),
            method(1, 85, 10, b"\0"),
            method(1, 60, 10, struct.pack(">IHB", 0, 10, 0)),
            method(1, 40, 10, nothing + short(b"hostile-e") + short(b"topic") + b"\x04" + long(b"")),
            declare(1, queue, 4 | 8, table),
            method(1, 50, 20, nothing + short(queue) + short(b"hostile-e") + short(key) + b"\0" + long(table)),
            *publish(1, b"hostile-e", key, b"hello", properties=struct.pack(">H", 0x9000) + short(b"text") + b"\x02"),
            method(1, 60, 70, nothing + short(queue) + b"\0"),
            consume(1, queue),
            method(1, 60, 80, struct.pack(">QB", 1, 1)),
            method(1, 60, 120, struct.pack(">QB", 2, 2)),
            method(1, 60, 110, b"\1"),
            method(1, 60, 30, short(b"tag") + b"\0"),
            frame(8, 0, b""),
            open_channel(2),
            method(2, 90, 10),
            *publish(2, b"", b"nowhere", b""),
            method(2, 90, 20),
            method(2, 90, 30),
            method(1, 50, 50, nothing + short(queue) + short(b"hostile-e") + short(key) + long(table)),
            method(1, 50, 30, nothing + short(queue) + b"\0"),
            method(1, 20, 40, struct.pack(">H", 200) + short(b"bye") + struct.pack(">HH", 0, 0)),
            method(0, 10, 50, struct.pack(">H", 200) + short(b"bye") + struct.pack(">HH", 0, 0)),
        ]

    def mutate(self, parts):
        parts = list(parts)
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            # A mutation before may have left nothing of a part, or of all of them.
            parts = [part for part in parts if part] or [HEADER]
            place = self.random.randrange(len(parts))
            part = bytearray(parts[place])
            match self.random.randrange(9):
                case 0:
                    part[self.random.randrange(len(part))] ^= 1 << self.random.randrange(8)
                case 1:
                    part[self.random.randrange(len(part))] = self.random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
                case 2:
                    del part[self.random.randrange(len(part)) :]
                case 3:
                    at = self.random.randrange(len(part))
                    part[at:at] = self.random.randbytes(self.random.randrange(1, 40))
                case 4:
                    parts.insert(self.random.randrange(len(parts)), parts[place])
                    continue
                case 5:
                    other = self.random.randrange(len(parts))
                    parts[place], parts[other] = parts[other], parts[place]
                    continue
                case 6:
                    del parts[place:]
                    parts.append(bytes(part[: self.random.randrange(len(part) + 1)]))
                    continue
                case 7 if len(part) > 7:
                    # Another length, consistent or not.
                    size = self.random.choice((0, 1, len(part), 131_072, 131_073, 0x7FFFFFFF, 0xFFFFFFFF))
                    part[3:7] = struct.pack(">I", size)
                case _ if len(part) > 11:
                    # Another method with these arguments.
                    part[7:11] = struct.pack(
                        ">HH", self.random.choice((10, 20, 40, 50, 60, 85, 90)), self.random.randrange(0, 130, 10))
            parts[place] = bytes(part)
        return parts

    def mutations(self, count):
        """Conversations that go wrong somewhere; the server answers, closes, or waits for more, and never dies of it."""
        for number in range(count):
            self.pace.wait()
            try:
                client = Client(self.node(), timeout=5)
                client.send(*self.mutate(self.conversation))
                if number % 8 == 0:
                    # Nothing more comes: whatever the server made of it, it lets go.
                    client.socket.shutdown(socket.SHUT_WR)
                    if not client.ends_within(20):
                        self.fail("a connection whose client went away was kept")
                client.close() if number % 3 else client.reset()
            except ConnectionRefusedError:
                self.fail("a node takes no connections any more")
                return number
            except OSError:
                pass
        return count

    def flood(self, count):
        """Connections that say nothing: they end by themselves, and others get in meanwhile."""
        clients = []
        node = self.node()
        for _ in range(count):
            try:
                clients.append(Client(node, timeout=5))
            except OSError:
                break
        try:
            Client(node).open().close()
        except Exception as error:
            self.fail(f"a flood keeps others out: {error!r}")
        if not until(HANDSHAKE_TIMEOUT + 5, lambda: kept(node, clients) == 0):
            self.fail(f"{kept(node, clients)} connections without a handshake live too long")
        for client in clients:
            client.close()
        return count

    def slowloris(self, count):
        """A byte a second never becomes a handshake."""
        node = self.node()
        clients = [Client(node) for _ in range(count)]
        text = b"".join(opening())
        ended = set()
        for second in range(HANDSHAKE_TIMEOUT + 5):
            for number, client in enumerate(clients):
                try:
                    client.send(text[second : second + 1])
                except OSError:
                    ended.add(number)
            time.sleep(1)
        if len(ended) < count:
            self.fail(f"{count - len(ended)} of {count} slow handshakes were not ended")
        for client in clients:
            client.close()
        return count

    def never_read(self, count):
        """Consumers that never read, and are silent: their connections end when their heartbeats are missing."""
        node = self.node()
        queue = f"hostile-unread-{self.random.random()}".encode()
        owner = Client(node).open()
        owner.send(open_channel(1), declare(1, queue, 2))
        owner.wait(50, 11)
        owner.send(method(1, 85, 10, b"\0"))
        owner.wait(85, 11)
        clients = []
        for _ in range(count):
            client = Client(node)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.send(*opening(heartbeat=1), open_channel(1), consume(1, queue, 2))
            clients.append(client)
        for _ in range(2_000):
            # One by one: who publishes here means no harm.
            owner.send(*publish(1, b"", queue, b"x" * 10_000))
            owner.wait(60, 80)
        if not until(2 + CLOSE_TIMEOUT + 10, lambda: kept(node, clients) == 0):
            self.fail(f"{kept(node, clients)} connections that never read are kept without heartbeats")
        for client in clients:
            client.reset()
        owner.send(method(1, 50, 40, struct.pack(">H", 0) + short(queue) + b"\0"))
        owner.wait(50, 41)
        owner.close()
        return count

    def channels(self, count):
        """All channel numbers there are; those beyond channel_max close the connection."""
        for number in range(count):
            try:
                client = Client(self.node()).open(channel_max=0 if number % 2 else 65_535)
                client.send(*(open_channel(channel) for channel in range(1, 65_536)))
                if not client.ends_within(20):
                    self.fail("65,535 channels were opened")
                client.close()
            except (OSError, EOFError, RuntimeError):
                pass
        return count

    def tables(self, count):
        """Tables that are long, deep, or become much more memory than bytes."""
        field = short(b"f")
        deep = b""
        for _ in range(200):
            deep = field + b"F" + long(deep)
        wide = b"".join(short(str(number).encode()) + b"V" for number in range(18_000))
        array = field + b"A" + long(b"V" * 120_000)
        for number in range(count):
            self.pace.wait()
            table = (deep, wide, array)[number % 3]
            try:
                if number % 2:
                    client = Client(self.node())
                    client.send(*opening(properties=table))
                else:
                    client = Client(self.node()).open()
                    client.send(open_channel(1), declare(1, b"", 4 | 8, table))
                    properties = struct.pack(">H", 0x2000) + long(table)
                    client.send(*publish(1, b"amq.headers", b"", b"x", properties=properties))
                client.socket.shutdown(socket.SHUT_WR)
                if not client.ends_within(20):
                    self.fail("a huge table keeps a connection")
                client.close()
            except (OSError, EOFError, RuntimeError):
                pass
        return count

    def bodies(self, count):
        """Bodies longer than announced, announced and never finished, and frames beyond frame_max."""
        for number in range(count):
            self.pace.wait()
            try:
                client = Client(self.node()).open()
                client.send(open_channel(1))
                match number % 5:
                    case 0:
                        client.send(*publish(1, b"", b"q", b"x" * 1_000, size=10))
                    case 1:
                        client.send(*publish(1, b"", b"q", b"", size=1 << 63))
                    case 2:
                        client.send(struct.pack(">BHI", 3, 1, 1 << 30) + b"x" * 200_000)
                    case 3:
                        client.send(*publish(1, b"", b"q", b"x" * 4_000_000, size=16 << 20))
                    case _:
                        client.send(*publish(1, b"", b"q", b"x" * 200_000, size=(16 << 20) + 1))
                client.socket.shutdown(socket.SHUT_WR)
                if not client.ends_within(20):
                    self.fail("a body that lies keeps a connection")
                client.close()
            except (OSError, EOFError, RuntimeError):
                pass
        return count


def attack(seed, inputs, rate, done, report):
    """Everything a hostile client does, `inputs` in all; most are mutations, made while those that wait do."""
    # A real one has a machine of its own.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    pace = Pace(rate)
    waiting = [("flood", min(2_000, inputs // 20)), ("slowloris", min(200, inputs // 50)),
               ("never_read", min(20, inputs // 50))]
    busy = [("channels", min(20, inputs // 100)), ("tables", min(1_000, inputs // 20)),
            ("bodies", min(500, inputs // 20))]
    mutations = inputs - sum(count for _, count in waiting + busy)
    share = mutations // (len(busy) + 1)

    def make(place, act, count):
        made = getattr(Attack(seed * 100 + place, report, pace), act)(count)
        with done.get_lock():
            done.value += made

    threads = [threading.Thread(target=make, args=(place, *act)) for place, act in enumerate(waiting)]
    for thread in threads:
        thread.start()
    for place, act in enumerate(busy, len(waiting)):
        make(place * 2, "mutations", share)
        make(place * 2 + 1, *act)
    make(99, "mutations", mutations - share * len(busy))
    for thread in threads:
        thread.join()


def declared():
    """Queues and exchanges that are there."""
    return {(kind, item["vhost"], item["name"]) for kind in ("queues", "exchanges") for item in management(1, kind)}


def tidy(existing):
    """Deletes what mutated declarations left behind; not what was there before."""
    client = Client(1).open()
    channel = 0
    for kind, class_id, tail in (("queues", 50, b"\0"), ("exchanges", 40, b"\0")):
        for item in management(1, kind):
            if (kind, item["vhost"], item["name"]) in existing:
                continue
            name = item["name"].encode()
            # A channel each: one that is refused closes its channel only.
            channel += 1
            if channel > 2_000:
                break
            client.send(open_channel(channel))
            client.wait(20, 11)
            client.send(method(channel, class_id, 40 if class_id == 50 else 20, struct.pack(">H", 0) + short(name) + tail))
            try:
                client.wait(class_id, 41 if class_id == 50 else 21)
            except RuntimeError:
                client.send(method(channel, 20, 41))
    client.close()
    return channel


def lowest_resident(processes, seconds, is_enough=lambda low: False):
    """The lowest resident set of each node that is seen, until it `is_enough` or the time is over."""
    low = {node: resident(pid) for node, pid in processes.items()}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_enough(low):
        time.sleep(1)
        for node, pid in processes.items():
            low[node] = min(low[node], resident(pid))
    return low


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1_000, help="inputs a second, but for floods and what waits")
    parser.add_argument("--quiet-for", type=int, default=15, help="seconds of measuring without an attack")
    parser.add_argument("--untimed", action="store_true", help="print latencies, and let them be")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))

    processes = pids()
    existing = declared()
    manager = multiprocessing.Manager()
    report, latencies = manager.list(), manager.list()
    stop = multiprocessing.Event()
    observer = multiprocessing.Process(target=probe, args=(1, latencies, stop, report))
    observer.start()

    def run(inputs, seed):
        done = multiprocessing.Value("q", 0)
        began = time.monotonic()
        attacker = multiprocessing.Process(target=attack, args=(seed, inputs, options.rate, done, report))
        attacker.start()
        peak = 0
        while attacker.is_alive():
            attacker.join(0.5)
            peak = max(peak, *(resident(pid) for pid in processes.values()))
        return done.value, began, time.monotonic(), peak

    # Once of everything, so that what is compared afterwards has seen it all.
    run(max(2_000, options.inputs // 5), options.seed + 1)
    tidy(existing)
    began_quiet = time.monotonic()
    before = lowest_resident(processes, options.quiet_for)
    ended_quiet = time.monotonic()
    count, began, ended, peak = run(options.inputs, options.seed)
    left = tidy(existing)
    after = lowest_resident(processes, 30, lambda low: all(low[node] <= before[node] * 1.05 for node in NODES))
    stop.set()
    observer.join(20)

    samples = list(latencies)
    quiet = percentile([took for at, took in samples if began_quiet < at < ended_quiet], 0.99)
    loud = percentile([took for at, took in samples if began < at < ended], 0.99)
    problems = list(report)
    if count < options.inputs:
        problems.append(f"the attack ended after {count} of {options.inputs} inputs")
    ended_nodes = [node for node, pid in processes.items() if not lives(pid)]
    if ended_nodes:
        problems.append(f"nodes {ended_nodes} ended")
    growth = max((after[node] / before[node] for node in NODES if node not in ended_nodes), default=0)
    if growth > 1.10:
        problems.append(f"a resident set is {growth:.2f} times what it was")
    if peak > max(before.values()) + (512 << 20):
        problems.append(f"a resident set of {peak >> 20} MiB meanwhile")
    if loud > 2 * quiet and not options.untimed:
        problems.append(f"another client's p99 is {loud / quiet:.1f} times what it was")
    for node in NODES:
        print(f"node {node}: {before[node] / (1 << 20):.1f} MiB before, {after[node] / (1 << 20):.1f} MiB after")
    print(f"{count} inputs in {ended - began:.0f} s, at most {peak / (1 << 20):.1f} MiB, {left} leftovers deleted")
    print(f"another client's p99: {quiet * 1e3:.2f} ms before, {loud * 1e3:.2f} ms meanwhile ({loud / quiet:.2f} times)")
    for problem in sorted(set(problems)):
        print(f"FAILED: {problem} ({problems.count(problem)} times)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
