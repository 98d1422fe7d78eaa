"""The agent as a process, on some cores, with an engine of choice: `python agent.py ENGINE CORES CONFIG`.

All but the engine is what `spoa-waf serve` runs. CORES are numbers with commas.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # this tree is measured, installed or not


def main() -> int:
    """Serve until TERM."""
    engine, cores, config = sys.argv[1:]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    from adapters import rule_sets  # noqa: PLC0415  threads of libraries inherit what is set above
    from adapters.cli import main as run  # noqa: PLC0415
    from benchmarks.wire.engines import ENGINES  # noqa: PLC0415

    other = ENGINES[engine]
    if other is not None:
        setattr(rule_sets, "WAF", other)  # noqa: B010  for a type checker it is not one
    return run(["serve", "-c", config])


if __name__ == "__main__":
    sys.exit(main())
