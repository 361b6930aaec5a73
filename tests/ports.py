"""Free ports of this machine, for servers that a test starts."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port that the kernel gives nobody by itself: Ray's processes take such, at the machine's other address too."""
    while True:
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", random.randrange(20000, 30000)))
            return sock.getsockname()[1]
