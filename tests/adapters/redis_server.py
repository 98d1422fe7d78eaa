"""A real redis-server for tests: on a free port of this machine, without files, in the test's own hand."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import redis

from adapters.metrics.observer import Observer
from tests.adapters.harness import free_ports
from tests.conftest import absent

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "a secret:with/odd@signs"


class RedisServer:
    """A server that can be hung (SIGSTOP), ended (SIGTERM) and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            absent("no redis-server on this machine: install Debian's package of this name")
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
        self._command, self._folder = [str(binary), *words], folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self._folder / "redis.out").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.01)
        raise AssertionError((self._folder / "redis.out").read_text())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)


class Told(Observer):
    """What an observer is told of a server's answers."""

    def __init__(self) -> None:
        self.results: list[str] = []

    def shared(self, result: str, seconds: float | None = None) -> None:
        assert (seconds is None) == (result == "refused")
        self.results.append(result)
