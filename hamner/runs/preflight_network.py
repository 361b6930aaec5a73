"""Preflight checks of the network: Ray's address and ports, the model hub (Hugging Face), a port for the page.

Data in: addresses and ports, as arguments. Data out: findings; connections are closed at once.
"""

from __future__ import annotations

import email.utils
import errno
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.runs.cluster import ray_address
from hamner.runs.files import free_gib
from hamner.runs.preflight import FAIL, OK, WARN, Finding, of_problem
from hamner.runs.ray_session import check_answers, temporary_folder

HUB = "https://huggingface.co"
HUB_SECONDS = 5.0
FULLEST = 0.95  # of a disk, from which on Ray stores no object there
PORTS = {6379: "`ray start --head`", 8265: "Ray's dashboard", 8000: "`hamner serve`, which takes another by --port"}


def ray_place() -> Finding:
    """Whether Ray can be started here, or answers where RAY_ADDRESS says."""
    try:
        address = ray_address()
        if address not in ("local", "auto"):
            check_answers(address)
        if address != "local":
            return Finding("ray", OK, f"a cluster: {os.environ.get('RAY_ADDRESS', '')}")
        folder = temporary_folder()
    except BadInput as error:
        return of_problem("ray", FAIL, str(error))
    place = Path(folder or os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")
    return ray_disk(place)


def ray_disk(place: Path, fullest: float = FULLEST) -> Finding:
    """The disk of Ray's own folder: on one that is nearly full Ray stores nothing."""
    existing, free = free_gib(place)
    status = os.statvfs(existing)
    used = 1 - status.f_bavail / max(1, status.f_blocks)
    text = f"one of its own on this machine, its files in {place} ({free:.1f} GiB free)"
    if used > fullest:
        fix = "make room there, or set RAY_TMPDIR to a folder on a disk with room"
        return Finding("ray", WARN, f"{text}, which is {100 * used:.0f} % full", fix)
    return Finding("ray", OK, text)


def own_address() -> str:
    """The address that Ray gives this machine: the one it would reach others from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 80))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def connections(address: str, seconds: float = 3.0) -> Finding:
    """Whether processes of this machine reach each other by its own address, as Ray's do."""
    fix = "let the firewall or VPN pass connections of this machine to itself"
    try:
        with socket.socket() as server:
            server.bind((address, 0))
            server.listen(1)
            with socket.create_connection(server.getsockname(), seconds):
                return Finding("ray's network", OK, f"processes reach each other at {address}")
    except OSError as error:
        return Finding("ray's network", FAIL, f"nothing can be reached at {address}: {error.strerror or error}", fix)


def ports(wanted: Mapping[int, str] = PORTS) -> Finding:
    """Ports that commands use by default; a league of this machine alone takes any free ones instead."""
    taken = {port: use for port, use in wanted.items() if _is_taken(port)}
    if not taken:
        return Finding("ports", OK, f"free: {', '.join(map(str, wanted))}")
    words = ", ".join(f"{port} ({use})" for port, use in taken.items())
    fix = "end what listens there, or leave it: a run of this machine alone needs none of them"
    return Finding("ports", WARN, f"taken: {words}", fix)


def _is_taken(port: int) -> bool:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def hub(address: str | None = None, *, text: bool, tokenizer: bool) -> tuple[Finding, dict[str, float]]:
    """Whether the model hub answers, and what its clock says.

    text, tokenizer: whether the config reads its text, or its tokenizer, from there. address: by default HF_ENDPOINT's.
    """
    address = address or os.environ.get("HF_ENDPOINT") or HUB
    if not (text or tokenizer):
        return Finding("hub", OK, "not needed: text and tokenizer come from this machine"), {}
    fix = "check the network, or read no hub: --data builtin or --data DIR, and data.tokenizer=train"
    state = FAIL if text else WARN
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return Finding("hub", state, "HF_HUB_OFFLINE is set", f"unset it; {fix}"), {}
    try:
        date = _date(address)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        words = f"{address} does not answer: {reason}"
        words += "" if text else "; a tokenizer that was read before lies in the cache"
        return Finding("hub", state, words, fix), {}
    return Finding("hub", OK, f"{address} answers"), {} if date is None else {"the hub's": date}


def _date(address: str) -> float | None:
    """The time that a server tells; any answer will do. Raises OSError without one."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=HUB_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    date = headers.get("Date")
    return email.utils.parsedate_to_datetime(date).timestamp() if date else None
