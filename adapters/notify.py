"""What systemd is told: ready, reloading, stopping, alive, and a line about what goes on.

Here: the protocol of sd_notify(3) and sd_watchdog_enabled(3), read from the environment: `NOTIFY_SOCKET`,
`WATCHDOG_USEC`, `WATCHDOG_PID`. Without systemd nothing happens. Not here: when what is told.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

MAX_STATUS = 200


class Notifier:
    """Tells systemd what this process does. Never raises, never waits: a service manager must not stop the agent.

    Attributes:
        watchdog: seconds within which systemd wants to hear `alive`; None: it does not.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog_seconds() if self._address else None

    def ready(self, status: str = "") -> None:
        """It serves; also when a reload has ended, whatever came of it."""
        self._tell("READY=1", status)

    def reloading(self, status: str = "") -> None:
        """A reload begins."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", status)

    def stopping(self, status: str = "") -> None:
        """It was told to stop."""
        self._tell("STOPPING=1", status)

    def alive(self) -> None:
        """The watchdog need not bark."""
        self._tell("WATCHDOG=1")

    def status(self, status: str) -> None:
        """A line that `systemctl status` shows."""
        self._tell("", status)

    def _tell(self, what: str, status: str = "") -> None:
        if not self._address:
            return
        # One line: what is in a status may hold the name of a file, and so anything.
        lines = [what, "STATUS=" + " ".join(status[:MAX_STATUS].split()) if status else ""]
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(filter(None, lines)).encode("utf-8", "replace"), address)


def _watchdog_seconds() -> float | None:
    try:
        seconds = int(os.environ["WATCHDOG_USEC"]) / 1e6
        process = int(os.environ.get("WATCHDOG_PID") or os.getpid())
    except (KeyError, ValueError):
        return None
    return seconds if process == os.getpid() and seconds > 0 else None
