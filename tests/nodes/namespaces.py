"""Nodes of a Ray cluster in namespaces of this machine (integration test): started, killed, replaced, cut, healed.

    with Nodes(2, folder) as nodes:
        process = nodes.start_command(0, "tournament", "--config", "smoke")
        nodes.kill(1)

A node is an init process with a network, processes, a host name, a home and a /tmp/ray of its own; the file system is
one for all, as where every node mounts the same storage. A bridge connects them. This machine's own namespaces are left
as they are, and everything ends with the process that made it, however that ends.

Data in: how many nodes, a folder for their homes and logs. Data out: processes of commands, run on a node.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "mount", "hostname", "bash")
NODE_NAMESPACES = ("--net", "--mount-proc", "--uts", "--pid", "--kill-child")
# what a node's first process does; bash, since the first process inherits orphans and has to bury them
INIT = """hostname "$1" && mount --bind "$2/ray" /tmp/ray && ip link set lo up &&
mount --bind "$3/hosts" /etc/hosts && mount --bind "$3/resolv.conf" /etc/resolv.conf && echo ready
while :; do sleep 3600; done"""
NETWORK = "10.231.0"  # of 254 addresses; it exists in the nodes alone
PORT = 6379  # of Ray's global state, as `ray start --head` chooses
SECONDS_TO_START = 120.0
COUNT_NODES = """
import sys, time
from ray._raylet import GcsClient
client, end = GcsClient(address=sys.argv[1]), time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    alive = [node for node in client.get_all_node_info().values() if node.state == 0]
    if len(alive) == int(sys.argv[2]):
        sys.exit()
    time.sleep(0.2)
sys.exit(f"{len(alive)} nodes are alive, not {sys.argv[2]}")
"""


def why_not() -> str:
    """Why there can be no such nodes on this machine; "" where there can."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing or os.geteuid() != 0:
        return f"no program {', '.join(missing)}" if missing else "only root makes network namespaces"
    Path("/tmp/ray").mkdir(mode=0o777, exist_ok=True)
    words = ["unshare", *NODE_NAMESPACES, "ip", "link", "add", "end0", "type", "veth", "peer", "name", "end1"]
    done = subprocess.run(words, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"no namespaces or no veth pairs here: {done.stderr.strip()}"


@dataclass
class Node:
    """A machine, as far as its processes can tell."""

    name: str
    address: str
    init: subprocess.Popen[str]  # ends all of it
    pid: int  # of its first process
    cable: str  # the switch's end of it
    home: Path
    is_alive: bool = True


class Nodes:
    """Some nodes with a Ray cluster; number 0 is the head, and commands that are run there are its drivers."""

    def __init__(self, count: int, folder: Path, *, cores: int = 1, environment: dict[str, str] | None = None) -> None:
        """cores: of each node. environment: further variables of all processes, such as Ray's own settings."""
        self.folder, self.results = folder, folder / "results"
        self._count, self._cores, self._more = count, cores, environment or {}
        self._token, self._made = secrets.token_hex(32), 0
        self._nodes: list[Node] = []

    def __enter__(self) -> Nodes:
        self.folder.mkdir(parents=True, exist_ok=True)
        hosts = [f"{NETWORK}.{number} node{number}" for number in range(1, 100)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *hosts, ""]))
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody there, which is known at once
        try:
            self._switch = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL
            )
            _wait_for_namespace(self._switch.pid)
            self._on_switch("ip", "link", "add", "bridge", "type", "bridge")
            self._on_switch("ip", "addr", "add", f"{NETWORK}.254/24", "dev", "bridge")
            self._on_switch("ip", "link", "set", "bridge", "up")
            for index in range(self._count):
                self._nodes.append(self._new_node())
                self._start_ray(index)
            self.wait_until_alive(self._count)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            _end(node)
        self._switch.kill()
        self._switch.wait()

    # -- what becomes of nodes

    def address(self, index: int) -> str:
        """The node's IP address."""
        return self._nodes[index].address

    def kill(self, index: int) -> None:
        """End a node as a power cut does: it falls silent, and nobody is told."""
        self.cut(index)
        _end(self._nodes[index])

    def replace(self, index: int) -> None:
        """Start a new machine, with a name and an address of its own, in the place of a node that was killed."""
        self._nodes[index] = self._new_node()
        self._start_ray(index)

    def restart(self, index: int) -> None:
        """Start a node again that was killed: the same name, address and home."""
        self._nodes[index] = self._new_node(self._nodes[index])
        self._start_ray(index)

    def rejoin(self, index: int) -> None:
        """End what is left of Ray on a node, and let it join again."""
        self._run(index, [_program("ray"), "stop", "--force"], "ray_stop.log", timeout=60)
        self._start_ray(index)

    def cut(self, index: int) -> None:
        """Pull the node's network cable."""
        self._on_switch("ip", "link", "set", self._nodes[index].cable, "down")

    def heal(self, index: int) -> None:
        """Plug it in again."""
        self._on_switch("ip", "link", "set", self._nodes[index].cable, "up")

    def wait_until_alive(self, count: int, seconds: float = SECONDS_TO_START) -> float:
        """Wait until Ray counts so many nodes as alive; returns the seconds that took. Raises TimeoutError."""
        began = time.monotonic()
        words = [sys.executable, "-c", COUNT_NODES, f"{self.address(0)}:{PORT}", str(count), str(seconds)]
        done = self.run_command(0, words, timeout=seconds + 30)
        if done.returncode:
            raise TimeoutError(done.stderr[-500:])
        return time.monotonic() - began

    # -- commands

    def start_command(self, index: int, *words: str, log: str = "command.log") -> Command:
        """Start `python -m WORDS` on a node, as a driver of the cluster. What it prints is added to FOLDER/log."""
        return Command(self._enter(index, [sys.executable, "-m", *words]), self._environment(index), self.folder / log)

    def run_command(self, index: int, words: list[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run any program on a node to its end."""
        environment = self._environment(index)
        return subprocess.run(
            self._enter(index, words), env=environment, capture_output=True, text=True, timeout=timeout
        )

    # -- making them

    def _environment(self, index: int) -> dict[str, str]:
        """What every process of a node gets, as docs/cluster.md says: the token's mode, the place of the results."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "HAMNER_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # an activated environment
        modules = os.pathsep.join([str(REPO), str(Path(__file__).parent)])
        ours = {
            "PATH": path,
            "PYTHONPATH": modules,
            "HOME": str(self._nodes[index].home),
            "HAMNER_RESULTS": str(self.results),
            "RAY_ADDRESS": f"{self.address(0)}:{PORT}",
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        }
        return mine | ours | self._more

    def _new_node(self, like: Node | None = None) -> Node:
        """A machine without Ray: namespaces, a cable to the switch, an address, a home with the token."""
        self._made += 1
        number = self._made if like is None else int(like.name.removeprefix("node"))
        name, address, home = f"node{number}", f"{NETWORK}.{number}", self.folder / f"node{number}"
        for folder in (home / ".ray", home / "ray"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        token = home / ".ray" / "auth_token"
        token.touch(mode=0o600)
        token.write_text(self._token)
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", *NODE_NAMESPACES, "bash", "-c", INIT, "init"]
        words += [name, str(home), str(self.folder)]
        log = self.folder / f"{name}.log"
        with log.open("a") as file:
            init = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, text=True)
        assert init.stdout is not None
        if init.stdout.readline() != "ready\n":
            init.kill()
            raise OSError(f"{name} did not start: {log.read_text()[-500:]}")
        node = Node(name, address, init, _child(init.pid), f"cable{self._made}", home)
        self._connect(node)
        return node

    def _connect(self, node: Node) -> None:
        ends = ["ip", "link", "add", node.cable, "netns", str(self._switch.pid), "type", "veth"]
        _checked([*ends, "peer", "name", "eth0", "netns", str(node.pid)])
        self._on_switch("ip", "link", "set", node.cable, "master", "bridge", "up")
        number = int(node.name.removeprefix("node"))
        for words in (
            ["link", "set", "eth0", "address", f"02:00:0a:e7:00:{number:02x}"],  # a restarted machine keeps its own
            ["addr", "add", f"{node.address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", "default", "via", f"{NETWORK}.254"],
        ):
            _checked(["nsenter", "-t", str(node.pid), "-n", "ip", *words])

    def _start_ray(self, index: int) -> None:
        node = self._nodes[index]
        role = ["--head", f"--port={PORT}", "--include-dashboard=false"] if index == 0 else []
        words = [_program("ray"), "start", *(role or [f"--address={self.address(0)}:{PORT}"])]
        words += [f"--node-ip-address={node.address}", f"--num-cpus={self._cores}", "--object-store-memory=100000000"]
        self._run(index, [*words, "--disable-usage-stats"], f"{node.name}.log", timeout=SECONDS_TO_START)

    def _run(self, index: int, words: list[str], log: str, timeout: float) -> None:
        """Run a program that leaves processes behind, which keep its output open. Raises OSError with its end."""
        environment = self._environment(index)
        environment.pop("RAY_ADDRESS")  # `ray start` reads it, too
        path = self.folder / log
        with path.open("a") as file:
            words = self._enter(index, words)
            done = subprocess.run(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=timeout
            )
        if done.returncode:
            raise OSError(f"{words}: {path.read_text()[-1000:]}")

    def _enter(self, index: int, words: list[str]) -> list[str]:
        """The words that run a program on a node, in its home."""
        node = self._nodes[index]
        return ["nsenter", "-t", str(node.pid), "-m", "-u", "-n", "-p", "--", "env", "-C", str(node.home), *words]

    def _on_switch(self, *words: str) -> None:
        _checked(["nsenter", "-t", str(self._switch.pid), "-n", *words])


class Command:
    """A command that runs on a node, and what it has printed."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        self._begin = log.stat().st_size if log.is_file() else 0
        with log.open("a") as file:
            self.process = subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self.began = time.monotonic()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command itself, not to the program that entered the node."""
        os.kill(_child(self.process.pid), number)

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises TimeoutError, with the end of its output, when it takes longer, and ends it."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise TimeoutError(f"not over after {seconds:.0f} s: {self.output[-3000:]}") from None

    def end(self) -> None:
        """Kill it, where it still runs."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()


def _end(node: Node) -> None:
    """Kill a node's first process, and with it all others."""
    if not node.is_alive:
        return
    node.is_alive = False
    os.kill(node.pid, signal.SIGKILL)  # the kernel ends all others before its parent hears of it
    node.init.wait()


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _checked(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


def _child(pid: int) -> int:
    """The one child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _wait_for_namespace(pid: int) -> None:
    """Wait until a process has left this one's network namespace."""
    here = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == here:
        time.sleep(0.01)
