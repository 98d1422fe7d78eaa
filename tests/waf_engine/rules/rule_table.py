"""The table of rules in docs/baseline-rules.md, made from the rule files, so that it cannot go stale.

`python -m tests.waf_engine.rules.rule_table` writes it anew; test_baseline.py compares.
"""

from __future__ import annotations

from pathlib import Path

from waf_engine.seclang.ast import SecRule
from waf_engine.seclang.parser import parse

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "waf_engine" / "rules"
DOCUMENT = ROOT / "docs" / "baseline-rules.md"
BEGIN, END = "<!-- rules: begin -->", "<!-- rules: end -->"
POINTS = {"CRITICAL": "5", "ERROR": "4", "WARNING": "3", "NOTICE": "hint"}


def rules(path: Path) -> list[tuple[int, str, str]]:
    """(id, severity, msg) of every rule of a file that has a severity, in the order of the file."""
    nodes, diagnostics = parse(path.read_text("utf-8"), path.name)
    if diagnostics:
        raise ValueError(diagnostics[0].render())
    found = []
    for node in nodes:
        actions = {a.name: a.value or "" for a in node.actions} if isinstance(node, SecRule) else {}
        if "severity" in actions and "id" in actions:
            found.append((int(actions["id"]), actions["severity"], actions["msg"]))
    return found


def table() -> str:
    """The table as Markdown."""
    lines = ["| id | points | what it says |", "|---|---|---|"]
    for path in sorted(RULES.glob("[2-8]*.conf")):
        lines.append(f"| **{path.name}** | | |")
        lines += [f"| {number} | {POINTS[severity]} | {message} |" for number, severity, message in rules(path)]
    return "\n".join(lines)


def replaced(document: str) -> str:
    """The document with the table of today between its two marks."""
    head, rest = document.split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    DOCUMENT.write_text(replaced(DOCUMENT.read_text("utf-8")), "utf-8")
