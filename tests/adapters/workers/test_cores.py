from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from adapters.workers.cores import usable_cores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def cores(tmp_path: Path, files: dict[str, str], membership: str = "0::/\n") -> int:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "membership").write_text(membership)
    return usable_cores(tmp_path, tmp_path / "membership")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("files", "membership", "wanted"),
    [
        ({}, "", 8),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "200000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "10000 100000\n"}, "0::/\n", 1),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, "0::/a/b\n", 3),
        ({"a/cpu.max": "100000 100000\n"}, "0::/../a\n", 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu:/\n", 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "3:cpu:/\n", 8),
        ({"cpu,cpuacct/x/cpu.cfs_quota_us": "1\n", "cpu,cpuacct/x/cpu.cfs_period_us": "0\n"}, "3:cpu,cpuacct:/x\n", 8),
        ({"cpu.max": "nonsense"}, "0::/\n", 8),
    ],
)
def test_the_smallest_bound_counts(tmp_path: Path, files: dict[str, str], membership: str, wanted: int):
    assert cores(tmp_path, files, membership) == wanted


def test_this_machine():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
