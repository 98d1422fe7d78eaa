"""log, nolog, auditlog and noauditlog: the later one wins."""

from __future__ import annotations

import pytest

from tests.waf_engine.support import load

ROWS = {name: (name, None) for name in ("log", "nolog", "auditlog", "noauditlog")}
"""Action: what is accepted; None: no value is taken."""


@pytest.mark.parametrize(
    ("phase", "actions", "log", "audit"),
    [
        (1, "t:none", False, False),  # without a SecDefaultAction phase 2 alone has defaults (Coraza)
        (2, "t:none", True, True),
        (1, "log", True, True),
        (2, "nolog", False, False),
        (1, "auditlog", False, True),
        (2, "noauditlog", True, False),
        (1, "nolog,auditlog", False, True),
        (1, "auditlog,nolog", False, False),
        (1, "log,noauditlog", True, False),
        (1, "noauditlog,log", True, True),
        (1, "log,nolog", False, False),
    ],
)
def test_the_later_action_wins(phase: int, actions: str, log: bool, audit: bool):
    rule = load(f'SecAction "id:1,phase:{phase},{actions}"').plan.rules[0]

    assert (rule.log, rule.auditlog) == (log, audit)


@pytest.mark.parametrize(
    ("default", "actions", "log"), [("log", "t:none", True), ("log", "nolog", False), ("nolog", "log", True)]
)
def test_over_the_defaults(default: str, actions: str, log: bool):
    rule = load(f'SecDefaultAction "phase:1,{default},pass"\nSecAction "id:1,phase:1,{actions}"').plan.rules[0]

    assert rule.log is log
