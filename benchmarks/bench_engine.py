"""What rules cost: CPU per transaction of waf_engine beside libmodsecurity, same rules, same requests, one run.

    ./dev bench engine                     the table, and what loading costs
    ./dev bench engine --response          with the response phases
    ./dev bench engine --no-memory         nothing remembered from one request to the next
    ./dev bench engine --growth --plot f   how cost grows, also as a drawing

Rules are a CRS: --rules DIR, else the one of $SPOA_WAF_CORPORA, else the installed one (`spoa-waf crs`, Debian's).
The engines take turns, each round on requests that neither has seen; the median round counts. Ratios are what to
compare between machines.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.engine import growth  # noqa: E402  # the path is set above: this tree is measured, installed or not
from benchmarks.engine.chart import svg  # noqa: E402
from benchmarks.engine.engines import Ours, Peer, find_rules, resident, say  # noqa: E402
from benchmarks.engine.requests import KINDS, SLOW_KINDS, request  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.engine.engines import Engine

GOALS = {"R1": 6, "R2": 8, "R3": 9, "R4": 15, "R5": 9, "R6": 4, "R7": 15}
"""The ratios to reach (DESIGN.md, Numbers)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; exit status 1 if a cost that ought to be linear is not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rules", type=Path, metavar="DIR", help="a CRS: the folder with crs-setup.conf and rules/")
    parser.add_argument("--variants", type=int, default=100, help="requests of each kind in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="only these, such as R1,R4")
    parser.add_argument("--only", choices=("ours", "peer"), help="one engine alone")
    parser.add_argument("--response", action="store_true", help="run the response phases too")
    parser.add_argument("--no-memory", action="store_true", help="remember nothing across requests (scan_memory=0)")
    parser.add_argument("--no-loading", action="store_true", help="leave out what loading costs")
    parser.add_argument("--growth", action="store_true", help="the growth tables instead")
    parser.add_argument("--shorten", type=int, default=1, metavar="N", help="growth to an Nth of the largest sizes")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="with --growth: draw it, as SVG")
    parser.add_argument("--load", choices=("ours", "peer"), help=argparse.SUPPRESS)  # what a child process is told
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    directives, about = find_rules(options.rules)
    if options.load:
        print(json.dumps(_load(options.load, directives, options.cache)))
        return 0
    print(f"rules: {about}\n{_machine()}\n")
    names = [options.only] if options.only else ["ours", "peer"]
    memory = {"scan_memory": 0} if options.no_memory else {}
    makers: dict[str, Any] = {"ours": lambda text: Ours(text, **memory), "peer": Peer}
    makers = {name: makers[name] for name in names}
    if not options.no_loading and not options.growth:
        print(loading_table(names, options.rules), end="\n\n")
    engines: dict[str, Engine] = {name: make(directives) for name, make in makers.items()}
    if options.growth:
        return _growth(engines, makers, directives, options)
    print(cost_table(engines, options.kinds.split(","), options.variants, options.rounds, response=options.response))
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


def _machine() -> str:
    model = ""
    with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"machine: {model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def cost_table(
    engines: Mapping[str, Engine], kinds: Sequence[str], variants: int, rounds: int, *, response: bool
) -> str:
    """Microseconds per transaction and ratios, as text."""
    lines = [f"{'':22}{'ours us':>9}{'peer us':>9}{'ratio':>7}{'goal':>6}  blocked ours/peer"]
    ratios = []
    for kind in kinds:
        count = max(2, variants // (10 if kind in SLOW_KINDS else 1))
        costs: dict[str, list[float]] = {name: [] for name in engines}
        blocked = dict.fromkeys(engines, 0)
        for round_ in range(rounds):
            batch = [request(kind, round_ * count + number) for number in range(count)]
            for name, engine in engines.items():
                gc.collect()
                started = time.process_time()
                blocked[name] += sum(engine.run(each, response=response) for each in batch)
                costs[name].append((time.process_time() - started) / count * 1e6)
        middle = {name: statistics.median(values) for name, values in costs.items()}
        cells = "".join(f"{middle[name]:9.0f}" if name in middle else f"{'-':>9}" for name in ("ours", "peer"))
        if len(middle) == 2:
            ratios.append(middle["peer"] / middle["ours"])
            cells += f"{ratios[-1]:7.1f}{GOALS[kind]:6}"
        total = count * rounds
        said = " / ".join(str(blocked[name]) for name in engines)
        lines.append(f"{kind} {KINDS[kind]:19}{cells}  {said} of {total}")
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        lines.append(f"geometric mean of the ratios {mean:.2f}, the smallest {min(ratios):.2f}")
    return "\n".join(lines)


def _load(name: str, directives: str, cache: Path | None) -> dict[str, float]:
    """What loading costs in this process: seconds by the clock and of CPU, MiB of memory."""
    before, started, spent = resident(), time.perf_counter(), _cpu()
    kept: object = Peer(directives) if name == "peer" else Ours(directives, cache_folder=cache)
    figures = {"seconds": time.perf_counter() - started, "cpu": _cpu() - spent, "mib": resident() - before}
    del kept
    return figures | {"whole": resident()}


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it has started."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def loading_table(names: Sequence[str], rules: Path | None) -> str:
    """What loading costs, each in a process of its own: with no databases on disk, and with them."""
    lines = [f"{'loading':22}{'seconds':>9}{'CPU s':>9}{'MiB':>7}{'process MiB':>13}"]
    with tempfile.TemporaryDirectory(prefix="spoa-waf-bench-") as folder:
        runs = [("ours, no databases", "ours"), ("ours, databases kept", "ours"), ("peer", "peer")]
        for title, name in runs:
            if name not in names:
                continue
            command = [sys.executable, __file__, "--load", name, "--cache", folder]
            command += ["--rules", str(rules)] if rules is not None else []
            # The clock starts after Python itself is there.
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  this script
            found = json.loads(done.stdout)
            figures = f"{found['seconds']:9.2f}{found['cpu']:9.2f}{found['mib']:7.0f}{found['whole']:13.0f}"
            lines.append(f"{title:22}{figures}")
    return "\n".join(lines)


def _growth(
    engines: Mapping[str, Engine], makers: Mapping[str, Any], directives: str, options: argparse.Namespace
) -> int:
    curves = growth.all_curves(engines, options.shorten)
    copies = [size for size in growth.COPIES if size <= growth.COPIES[-1] // options.shorten] or [1]
    curves.append(growth.rules_curve(directives, makers, copies))
    print(growth.table(curves))
    if options.plot:
        about = (
            f"CPU per request, OWASP CRS at paranoia level 1, {platform.machine()}, Python {platform.python_version()}"
        )
        options.plot.write_text(svg(curves, about), "utf-8")
        say(f"drawn: {options.plot}")
    steep = [words for curve in curves if (words := growth.steep(curve))]
    for words in steep:
        print(f"NOT LINEAR: {words}")
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
