"""What the tests of the pages share: the blocks of a page, and a stage of HAProxy, agent and site for them.

A block that a test uses has a comment before it, `<!-- kind: name -->`; the rest of a page is prose.
"""

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.adapters.harness import ROOT, Processes, Site, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = re.compile(r"<!-- ([a-z]+)(?:: ([^\n]*?))? -->\n```\w*\n(.*?)```", re.DOTALL)
MADE_FOR_ALL = {"8080": "front", "8000": "site", "9000": "agent"}
"""Ports as the pages write them; a test has its own in their place."""
PATIENCE = (
    (r"timeout +hello +\S+", "timeout hello 30s"),
    (r"timeout +processing +\S+", "timeout processing 60s"),
    (r"timeout connect \S+", "timeout connect 30s"),
    (r"timeout (client|server|http-request) \d+s", r"timeout \1 60s"),
    (r"wait-for-body time \S+", "wait-for-body time 30s"),
    (r"(server .* check( inter 2s)?)$", r"\1 fall 1000"),
    (r"(server .* check inter 2s) backup$", r"\1 fall 1000 backup"),
)
"""Times as the pages write them, and such that no busy machine exceeds them."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def blocks(name: str, kind: str) -> list[tuple[str, str]]:
    """The blocks of a kind: what their comment names, and their text, in order."""
    return [(named or "", text) for found, named, text in BLOCK.findall(page(name)) if found == kind]


def block(name: str, kind: str, named: str) -> str:
    (text,) = [text for found, text in blocks(name, kind) if found == named]
    return text


def check(binary: str, folder: Path, config: str = "haproxy.cfg") -> str:
    """What `haproxy -c` complains about; empty when it has nothing to complain about."""
    done = subprocess.run([binary, "-c", "-f", config], cwd=folder, capture_output=True, text=True, check=False)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "[WARNING]" in line or "[ALERT]" in line]
    return "\n".join(told) if done.returncode == 0 else done.stdout + done.stderr


def patient(text: str) -> str:
    """A configuration of HAProxy with longer times than the page has."""
    for written, time in PATIENCE:
        text = re.sub(written, time, text, flags=re.MULTILINE)
    return text


@dataclass
class Stage:
    """A folder with the files of a page, and ports of this test in the place of those that the page writes."""

    processes: Processes
    site: Site
    ports: dict[str, int] = field(default_factory=dict)
    patient: bool = True
    """Whether HAProxy waits longer than the page says; not where it waits for what will not come."""

    @property
    def folder(self) -> Path:
        return self.processes.folder

    def fit(self, text: str) -> str:
        """A text of the page for this machine."""
        for written, name in MADE_FOR_ALL.items():
            text = re.sub(rf"(:| ){written}\b", rf"\g<1>{self.ports[name]}", text)
        if self.patient:
            text = patient(text)
        return text.replace("/etc/haproxy/coraza.cfg", str(self.folder / "coraza.cfg"))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(self.fit(text))

    def start_agent(self, config: str) -> subprocess.Popen[bytes]:
        """An agent that does not wait at its end for responses which a test never asks for."""
        return self.processes.start_agent(f"drain_timeout_ms: 100\n{self.fit(config)}", self.ports["agent"])

    def start_haproxy(self, binary: str) -> None:
        self.processes.start_haproxy(binary, self.folder / "haproxy.cfg", self.ports["front"])


@contextmanager
def stage(processes: Processes, site: Site | None = None) -> Iterator[Stage]:
    """A stage with a site of its own, unless there is one that somebody else serves."""
    served = site or Site()
    front, agent = free_ports(2)
    if site is None:
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield Stage(processes, served, {"front": front, "agent": agent, "site": served.port})
    finally:
        if site is None:
            served.release.set()
            served.shutdown()
            served.server_close()
