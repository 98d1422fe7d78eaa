"""Draws docs/spop-states.md from the tables of spop_proto/_state.py.

python tests/spop_proto/states_page.py > docs/spop-states.md
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "spop-states.md"
sys.path.insert(0, str(ROOT))

from spop_proto import _state as tables  # noqa: E402  # the path is set above, for the command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import IntEnum

INTRODUCTION = """\
# The states of SPOP, both sides

Drawn from the tables in `spop_proto/_state.py` by `tests/spop_proto/states_page.py`; a test fails when this page is
stale. Names of frames and status codes are those of HAProxy's SPOE.txt.
"""
TERMINAL = """
In {closed} and {failed} everything that comes is ignored, and nothing can be sent: write what is left, then close.
"""


def meanings(enum: type[IntEnum]) -> dict[str, str]:
    """The docstring under each member."""
    pairs = re.findall(r'^    ([A-Z_]+) = \d+\n    """(.*?)"""', inspect.getsource(enum), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in pairs}


def render_role(title: str, states: type[IntEnum], inputs: type[IntEnum], receives: Mapping, sends: Mapping) -> str:
    """A role: its states, its inputs, what each does, what may be sent."""
    names, terminal = meanings(states), (states["CLOSED"], states["FAILED"])
    lines = [f"\n## {title}\n", "| state | meaning |", "|---|---|"]
    lines += [f"| {state.name} | {names[state.name]} |" for state in states]
    lines += ["\n### What it receives\n", "| input | meaning |", "|---|---|"]
    lines += [f"| {each.name} | {meanings(inputs)[each.name]} |" for each in inputs]
    lines += ["", "| state | input | effect | next state |", "|---|---|---|---|"]
    for state in states:
        if state not in terminal:
            lines += [row(state, each, receives[state][each], states) for each in inputs]
    lines.append(TERMINAL.format(closed=terminal[0].name, failed=terminal[1].name))
    lines += ["### What it may send\n", "| state | event | next state |", "|---|---|---|"]
    for state in states:
        lines += [f"| {state.name} | {event.__name__} | {target.name} |" for event, target in sends[state].items()]
    return "\n".join(lines) + "\n" + diagram(states, receives, sends)


def row(state: IntEnum, received: IntEnum, step: tables.Step, states: type[IntEnum]) -> str:
    """A cell of the table."""
    failure = f" {step.status.value} ({step.status.name})" if step.effect is tables.Effect.FAIL else ""
    effect = step.effect.value.replace("DISCONNECT,", f"DISCONNECT{failure},") if failure else step.effect.value
    return f"| {state.name} | {received.name} | {effect} | {states(step.next).name} |"


def diagram(states: type[IntEnum], receives: Mapping, sends: Mapping) -> str:
    """The same as a Mermaid diagram, without what stays in its state and without failures, which go to FAILED."""
    edges: dict[tuple[str, str], list[str]] = {}
    for state in states:
        for received, step in receives[state].items():
            if step.next != state and step.effect is not tables.Effect.FAIL:
                edges.setdefault((state.name, states(step.next).name), []).append(f"receive {received.name}")
        for event, target in sends[state].items():
            if target != state:
                edges.setdefault((state.name, target.name), []).append(f"send {event.__name__}")
    drawn = [f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in edges.items()]
    return "\n".join(["\n```mermaid", "stateDiagram-v2", f"    [*] --> {states(0).name}", *drawn, "```", ""])


def render() -> str:
    """The page."""
    agent = (tables.AgentState, tables.AgentInput, tables.AGENT_RECEIVES, tables.AGENT_SENDS)
    haproxy = (tables.HAProxyState, tables.HAProxyInput, tables.HAPROXY_RECEIVES, tables.HAPROXY_SENDS)
    return INTRODUCTION + render_role("Agent", *agent) + render_role("HAProxy", *haproxy)


if __name__ == "__main__":
    sys.stdout.write(render())
