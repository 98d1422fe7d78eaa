"""docs/troubleshooting.md: it has every reason and every status, and what it says of some of them is seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from adapters.troubles import Reason
from spop_proto import StatusCode
from tests.adapters.harness import fetch
from tests.docs.pages import Stage, block, page, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes, Site

PAGE = page("troubleshooting.md")


def test_every_reason_has_its_row():
    table = PAGE.partition("<!-- reasons -->\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", table, re.MULTILINE)

    assert [(int(number), word) for number, word in rows] == [(int(reason), reason.word) for reason in Reason]


def test_every_status_has_its_row():
    section = PAGE.partition("### 256 + n")[2].partition("###")[0]
    rows = re.findall(r"^\| ([\d, ]+) \| ([\d, ]+) \|", section, re.MULTILINE)
    numbers = [tuple(int(each) for each in cell.split(",")) for row in rows for cell in row]
    errors = [each for cell in numbers[::2] for each in cell]
    statuses = [each for cell in numbers[1::2] for each in cell]

    assert errors == [256 + each for each in statuses]
    assert sorted(statuses) == sorted(int(status) for status in StatusCode)


def test_what_haproxy_itself_says_is_there():
    section = PAGE.partition("### Below 256")[2].partition("###")[0]

    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == ["1", "2", "3", "4", "5", "255"]


@pytest.fixture
def here(processes: Processes, site: Site) -> Iterator[Stage]:
    with stage(processes, site) as made:
        yield made


SHOW = (
    "    http-request return status 200 content-type text/plain "
    "lf-string %[var(txn.coraza.error)]/%[var(txn.coraza.reason)]\n"
)


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "shown"),
    [("nothing", "/"), ("no agent", "1/"), ("application", "513/unknown-application"), ("frame", "3/")],
)
def test_the_numbers_that_haproxy_gets(here: Stage, haproxy_binary: str, wrong: str, shown: str):
    """As the page tells to look: `register-var-names reason`, and both variables mentioned."""
    whole, spoe = (block("haproxy.md", "file", name) for name in ("haproxy.cfg", "coraza.cfg"))
    ask = "    http-request send-spoe-group coraza coraza-req\n"
    whole = whole.replace(ask, ask + SHOW).replace("option spop-check", "").replace(" check inter 2s", "")
    spoe = spoe.replace("    option set-on-error", "    register-var-names reason\n    option set-on-error")
    if wrong == "frame":
        spoe = spoe.replace(
            "    option set-on-error",
            "    max-frame-size 300\n    no option send-frag-payload\n    option set-on-error",
        )
    here.patient = wrong != "no agent"
    here.write("haproxy.cfg", whole)
    here.write("coraza.cfg", spoe)
    agent = block("haproxy.md", "agent", "config.yml")
    if wrong == "application":
        agent = agent.replace("name: shop", "name: other") + "  - {name: another, directives: SecRuleEngine On}\n"
    if wrong != "no agent":
        here.start_agent(agent)
    here.start_haproxy(haproxy_binary)
    headers = {"X-Long": "x" * 400} if wrong == "frame" else {}

    assert fetch(here.ports["front"], "/", headers=headers).body.decode() == shown
