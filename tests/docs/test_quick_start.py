"""docs/quick-start.md is followed: its files are written, its commands run, and they show what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import free_ports, wait_for_port
from tests.docs.pages import BLOCK, Stage, blocks, check, page, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes

PAGE = "quick-start.md"


@pytest.fixture
def here(processes: Processes) -> Iterator[Stage]:
    with stage(processes) as made:
        made.ports["site"] = free_ports(1)[0]  # the page starts a site of its own
        for name, text in blocks(PAGE, "file"):
            made.write(name, text)
        yield made


def _programs(folder: Path, binary: str) -> str:
    """A PATH on which the page's programs are those of this project, and this HAProxy."""
    programs = folder / "bin"
    programs.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}"'
    for name, text in (
        ("haproxy", f'#!/bin/sh\nexec "{binary}" "$@"\n'),
        ("spoa-waf", f'{python} -m adapters "$@"\n'),
        ("python3", f'{python} "$@"\n'),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


@pytest.mark.haproxy
@pytest.mark.slow
def test_the_page_is_followed(here: Stage, haproxy_binary: str):
    path = _programs(here.folder, haproxy_binary)
    found = [(kind, name, here.fit(text)) for kind, name, text in BLOCK.findall(page(PAGE))]
    shown, seen = "", 0
    for kind, name, text in found:
        if kind == "start":
            process = here.processes.start(["/bin/sh", "-c", f"exec {text}"], f"{name}.out", PATH=path)
            wait_for_port(here.ports[name], process)
        elif kind == "run":
            done = subprocess.run(
                ["/bin/sh", "-ec", text],
                cwd=here.folder,
                env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{text}{done.stdout}{done.stderr}"
            shown = done.stdout
        elif kind == "shows":
            seen += 1
            assert text.strip() in shown, f"expected {text!r}, got {shown!r}"

    assert [name for kind, name, _ in found if kind == "start"] == ["site", "agent", "front"]
    assert seen == 4


@pytest.mark.haproxy
def test_haproxy_has_nothing_to_complain_about(here: Stage, haproxy_binary: str):
    assert check(haproxy_binary, here.folder) == ""
