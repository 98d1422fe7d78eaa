"""How cost grows: with arguments, with the length of a value or a body, with rules.

A curve ends where one request costs more than `PATIENCE`: no more is learnt from waiting.
"""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engine import requests
from benchmarks.engine.engines import copies, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.engine.engines import Engine
    from benchmarks.engine.requests import Request

PATIENCE = 20.0
"""Seconds of CPU for one request, after which a curve is not followed any further."""
TOLERANCE = 1.5
"""How much more one megabyte may cost in a body of full length than in one of a tenth: timing is noisy."""

ARGUMENTS = (1, 3, 10, 30, 100, 300, 1000)
VALUE = (100, 1000, 10_000, 100_000, 1_000_000)
BODY = (10_000, 50_000, 500_000, 5_000_000)
COPIES = (1, 2, 4)


@dataclass(slots=True)
class Curve:
    """What something costs at several sizes.

    Attributes:
        title: what grows.
        unit: what sizes are counted in.
        points: for each engine, microseconds by size.
        linear: whether the cost may grow no faster than the size.
    """

    title: str
    unit: str
    points: dict[str, dict[int, float]] = field(default_factory=dict)
    linear: bool = False


def cost(engine: Engine, make: Callable[[int], Request], *, rounds: int = 3) -> float:
    """Microseconds of CPU for one request: the least of some rounds, each on requests that were not seen before."""
    serial, count, best = 0, 1, float("inf")
    for _ in range(rounds):
        batch = [make(serial + number) for number in range(count)]
        serial += count
        gc.collect()
        started = time.process_time()
        for request in batch:
            engine.run(request)
        spent = time.process_time() - started
        best = min(best, spent / count * 1e6)
        if spent > PATIENCE / 4:
            break
        if spent < 0.02:  # too short to be timed: the next round takes more
            count = min(200, max(count + 1, int(count * 0.03 / max(spent, 1e-4))))
    return best


def follow(
    title: str,
    unit: str,
    sizes: Sequence[int],
    make: Callable[[int, int], Request],
    engines: Mapping[str, Engine],
    *,
    linear: bool,
) -> Curve:
    """Measure a curve with every engine."""
    curve = Curve(title, unit, linear=linear)
    for name, engine in engines.items():
        points = curve.points[name] = {}
        for size in sizes:
            points[size] = cost(engine, lambda number, size=size: make(size, number))  # type: ignore[misc]
            say(f"  {title}: {size} {unit}, {name}: {points[size] / 1000:.2f} ms")
            if points[size] > PATIENCE * 1e6:
                break
    return curve


def all_curves(engines: Mapping[str, Engine], shorten: int = 1) -> list[Curve]:
    """The curves of one rule set.

    Args:
        engines: by name.
        shorten: divides the largest sizes; for trying.
    """

    def upto(sizes: Sequence[int]) -> list[int]:
        return [size for size in sizes if size <= sizes[-1] // shorten]

    bodies = (("form", requests.form), ("JSON", requests.json_body), ("multipart upload", requests.upload))
    return [
        follow("arguments of a form", "arguments", upto(ARGUMENTS), requests.arguments, engines, linear=False),
        follow("one value of a form", "bytes", upto(VALUE), requests.one_value, engines, linear=True),
        *(follow(f"body: {name}", "bytes", upto(BODY), make, engines, linear=True) for name, make in bodies),
    ]


def rules_curve(directives: str, makers: Mapping[str, Callable[[str], Engine]], sizes: Sequence[int] = COPIES) -> Curve:
    """What a browser's GET costs when the rules are there once, twice, ..."""
    curve = Curve("copies of the rules", "copies", {name: {} for name in makers})
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="spoa-waf-bench-") as folder:
            text = copies(directives, size, Path(folder))
            for name, make in makers.items():
                engine = make(text)
                curve.points[name][size] = cost(engine, lambda number: requests.request("R2", number), rounds=5)
                say(f"  copies of the rules: {size}, {name}: {curve.points[name][size] / 1000:.2f} ms")
    return curve


def steep(curve: Curve, engine: str = "ours") -> str:
    """What is wrong with a curve that ought to be linear; empty when nothing is."""
    points = curve.points.get(engine, {})
    if not curve.linear or len(points) < 2:
        return ""
    *_, before, last = points
    ratio = (points[last] / last) / (points[before] / before)
    if ratio <= TOLERANCE:
        return ""
    return f"{curve.title}: a byte of {last} costs {ratio:.1f} times what one of {before} costs"


def table(curves: Sequence[Curve]) -> str:
    """The curves as text; what may be linear also as microseconds for one megabyte."""
    lines = [f"{'':22}{'size':>9} {'ours us':>11} {'peer us':>11} {'ratio':>7} {'ours us/MB':>11} {'peer us/MB':>11}"]
    for curve in curves:
        sizes = sorted({size for points in curve.points.values() for size in points})
        for size in sizes:
            ours, peer = (curve.points.get(name, {}).get(size) for name in ("ours", "peer"))
            ratio = peer / ours if ours and peer else None
            cells = [
                ours,
                peer,
                ratio,
                *((each and each / size * 1e6) if curve.linear else None for each in (ours, peer)),
            ]
            widths = ((11, 0), (11, 0), (7, 1), (11, 0), (11, 0))
            shown = " ".join(
                f"{'-':>{width}}" if cell is None else f"{cell:{width}.{digits}f}"
                for cell, (width, digits) in zip(cells, widths, strict=True)
            )
            lines.append(f"{curve.title if size == sizes[0] else '':22}{size:9} {shown}")
    return "\n".join(lines)
