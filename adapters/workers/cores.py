"""How many processor cores this process may use.

`workers: auto` is that many. Here: the affinity mask, and the quota of the control group (containers), version 2 and 1.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

MAX_WORKERS = 64
"""What `auto` comes to at most; a number in the configuration may be larger."""
_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Cores that may be used, at least one; of a quota of one and a half, two.

    Args:
        root: where the control groups are mounted.
        membership: the file that says to which this process belongs.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _quota(root, membership)
    return max(1, math.ceil(min(count, MAX_WORKERS, quota) - 0.01))


def _quota(root: Path, membership: Path) -> float:
    """Cores that the control group, and those around it, grant; infinite without a bound."""
    smallest = math.inf
    for folder in _groups(root, membership):
        with suppress(OSError, ValueError, IndexError):
            quota, period = (folder / "cpu.max").read_text("ascii").split()[:2]
            if quota != "max":
                smallest = min(smallest, int(quota) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):
            micros = int((folder / "cpu.cfs_quota_us").read_text("ascii"))
            if micros > 0:
                smallest = min(smallest, micros / int((folder / "cpu.cfs_period_us").read_text("ascii")))
    return smallest


def _groups(root: Path, membership: Path) -> list[Path]:
    """The folders of this process's group and of those around it. In a container the root is the group's own."""
    found = [root, root / "cpu", root / "cpu,cpuacct"]
    with suppress(OSError, ValueError):
        for line in membership.read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            base = root / controllers if controllers else root
            inner = Path(path.lstrip("/"))
            if ".." not in inner.parts:
                found += [base / each for each in (inner, *inner.parents)]
    return found
