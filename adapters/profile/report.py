"""A profile as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from waf_engine.profiling import KINDS, OPERATOR, RULE, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.compiler.plan import Plan


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured.

    Attributes:
        plan: the rules.
        executor: what ran them.
        requests: how many requests there were.
        rounds: how often each was run.
        rows: the parts, the most expensive first.
    """

    plan: Plan
    executor: str
    requests: int
    rounds: int
    rows: Sequence[Row]

    @property
    def runs(self) -> int:
        """How many requests were run."""
        return self.requests * self.rounds

    @property
    def seconds(self) -> float:
        """The time of all of them."""
        return sum(row.seconds for row in self.rows)


def as_text(profile: Profile, top: int) -> str:
    """Tables: the kinds of parts, and the first so many parts of each kind."""
    runs, whole = profile.runs, profile.seconds or 1.0
    places = _places(profile.plan)
    what = f"{profile.requests} requests, each {profile.rounds} times, executor {profile.executor}"
    lines = [
        f"{what}: {whole / runs * 1e6:.0f} us each, their timing included",
        "",
        f"{'us/request':>11} {'share':>7} {'calls/request':>14}  what",
    ]
    for kind, about in KINDS.items():
        rows = [row for row in profile.rows if row.kind == kind]
        seconds, calls = sum(row.seconds for row in rows), sum(row.calls for row in rows)
        lines.append(f"{_figures(seconds, calls, runs, whole)}  {about}")
    for kind, about in KINDS.items():
        rows = [row for row in profile.rows if row.kind == kind and row.name]
        if not rows:
            continue
        lines += ["", f"{about}:"]
        for row in rows[:top]:
            place = places.get(row.name.split()[0], "") if kind in (RULE, OPERATOR) else ""
            name = f"{row.name}  ({place})" if place else row.name
            lines.append(f"{_figures(row.seconds, row.calls, runs, whole)}  {name}")
        if len(rows) > top:
            rest = rows[top:]
            seconds, calls = sum(row.seconds for row in rest), sum(row.calls for row in rest)
            lines.append(f"{_figures(seconds, calls, runs, whole)}  {len(rest)} more")
    return "\n".join([*lines, ""])


def as_json(profile: Profile) -> str:
    """All of it; times in microseconds for one request."""
    runs, whole = profile.runs, profile.seconds or 1.0
    places = _places(profile.plan)
    rows = []
    for row in profile.rows:
        found = {
            "kind": row.kind,
            "name": row.name,
            "microseconds": round(row.seconds / runs * 1e6, 3),
            "share": round(row.seconds / whole, 6),
            "calls": round(row.calls / runs, 3),
        }
        if row.kind in (RULE, OPERATOR) and (place := places.get(row.name.split()[0])):
            found["place"] = place
        rows.append(found)
    document = {
        "requests": profile.requests,
        "rounds": profile.rounds,
        "executor": profile.executor,
        "microseconds": round(whole / runs * 1e6, 3),
        "rows": rows,
    }
    return json.dumps(document, indent=1) + "\n"


def _figures(seconds: float, calls: int, runs: int, whole: float) -> str:
    return f"{seconds / runs * 1e6:11.1f} {seconds / whole:7.1%} {calls / runs:14.1f}"


def _places(plan: Plan) -> dict[str, str]:
    """Where the rules were written, by their ids."""
    return {str(rule.id): f"{Path(rule.span.file).name}:{rule.span.line}" for rule in plan.rules if rule.id}
