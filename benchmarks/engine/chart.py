"""Growth curves as an SVG, written by hand: it can be read as text, and compared from one version to the next."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engine.growth import Curve

WIDTH, HEIGHT = 400, 280
LEFT, TOP, RIGHT, BOTTOM = 58, 34, 14, 40
COLOURS = {"ours": "#1565c0", "peer": "#c62828"}
LABELS = {"ours": "spoa-waf", "peer": "libmodsecurity"}
STYLE = (
    "text{font:11px sans-serif;fill:#333}.t{font-weight:bold;font-size:12px}"
    ".g{stroke:#ddd}.c{fill:none;stroke-width:2}svg{background:#fff}"
)


def _decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _short(number: float, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if number < 1000:
            return f"{number:g}{unit}"
        number /= 1000
    return f"{number:g}{units[-1]}"


def _panel(curve: Curve, left: int, top: int) -> list[str]:
    sizes = [size for points in curve.points.values() for size in points]
    costs = [value for points in curve.points.values() for value in points.values()]
    ticks_x, ticks_y = _decades(min(sizes), max(sizes)), _decades(min(costs), max(costs))
    if max(sizes) < 10 * min(sizes):  # a few copies of the rules: no decade between them
        ticks_x = [float(size) for size in sorted(set(sizes))]

    def x(size: float) -> float:
        low, high = math.log10(ticks_x[0]), math.log10(ticks_x[-1])
        return left + LEFT + (math.log10(size) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        low, high = math.log10(ticks_y[0]), math.log10(ticks_y[-1])
        return top + HEIGHT - BOTTOM - (math.log10(value) - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    lines = [f'<text class="t" x="{left + LEFT}" y="{top + 20}">{escape(curve.title)}</text>']
    for tick in ticks_x:
        at = f"{x(tick):.1f}"
        lines.append(f'<line class="g" x1="{at}" x2="{at}" y1="{top + TOP}" y2="{top + HEIGHT - BOTTOM}"/>')
        units = (" B", " kB", " MB") if curve.unit == "bytes" else ("", "k", "M")
        text = _short(tick, units)
        lines.append(f'<text x="{at}" y="{top + HEIGHT - BOTTOM + 16}" text-anchor="middle">{text}</text>')
    for tick in ticks_y:
        at = f"{y(tick):.1f}"
        lines.append(f'<line class="g" x1="{left + LEFT}" x2="{left + WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        text = _short(tick, (" us", " ms", " s"))
        lines.append(f'<text x="{left + LEFT - 6}" y="{float(at) + 4:.1f}" text-anchor="end">{text}</text>')
    for name, points in curve.points.items():
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points.items())
        lines.append(f'<polyline class="c" stroke="{COLOURS[name]}" points="{path}"/>')
        lines += [
            f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{COLOURS[name]}"/>'
            for size, value in points.items()
        ]
    return lines


def svg(curves: Sequence[Curve], about: str) -> str:
    """One panel for each curve, both axes logarithmic.

    Args:
        curves: what to draw.
        about: one line above all.
    """
    columns = 2
    rows = math.ceil(len(curves) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + 44
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18">{escape(about)}</text>',
    ]
    for index, (name, label) in enumerate(LABELS.items()):
        at = LEFT + index * 130
        lines.append(f'<rect x="{at}" y="26" width="18" height="4" fill="{COLOURS[name]}"/>')
        lines.append(f'<text x="{at + 24}" y="33">{label}</text>')
    for index, curve in enumerate(curves):
        lines += _panel(curve, index % columns * WIDTH, 40 + index // columns * HEIGHT)
    return "\n".join([*lines, "</svg>", ""])
