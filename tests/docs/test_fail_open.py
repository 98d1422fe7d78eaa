"""docs/fail-open.md: with a real HAProxy and an agent that is there, and one that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import fetch
from tests.docs.pages import Stage, block, check, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes, Site

PAGE = "fail-open.md"
ASK = "    http-request send-spoe-group coraza coraza-req\n"
ASK_AGAIN = "    http-response send-spoe-group coraza coraza-res\n"
ERROR_LINES = (
    "    http-request deny deny_status 504 if { var(txn.coraza.error) -m int gt 0 }\n",
    "    http-response deny deny_status 504 if { var(txn.coraza.error) -m int gt 0 }\n",
)


@pytest.fixture
def here(processes: Processes, site: Site) -> Iterator[Stage]:
    with stage(processes, site) as made:
        yield made


def _start(here: Stage, binary: str, lines: str, *, asks: bool = True, application: str = "shop") -> None:
    """The whole of haproxy.md with these lines in the place of those about errors."""
    whole = block("haproxy.md", "file", "haproxy.cfg")
    for line in ERROR_LINES:
        assert whole.count(line) == 1
        whole = whole.replace(line, "")
    whole = whole.replace("str(shop)", f"str({application})")
    requests = "".join(line for line in lines.splitlines(keepends=True) if "http-request" in line)
    responses = "".join(line for line in lines.splitlines(keepends=True) if "http-response" in line)
    end = "    default_backend site\n"
    first = "    http-response wait-for-body"
    whole = whole.replace(end, responses + end).replace(first, requests + first)
    if not asks:
        whole = whole.replace(ASK, "").replace(ASK_AGAIN, "")
        assert "send-spoe-group" not in whole
    here.write("haproxy.cfg", whole.replace("option spop-check", "").replace(" check inter 2s", ""))
    here.write("coraza.cfg", block("haproxy.md", "file", "coraza.cfg"))
    assert check(binary, here.folder) == ""
    here.start_haproxy(binary)


def _agent(here: Stage) -> None:
    here.start_agent(block("haproxy.md", "agent", "config.yml"))


def _lines(name: str) -> str:
    return block(PAGE, "frontend", name)


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status"), [("closed", 504), ("demanding", 504), ("open", 200), ("mixed", 200), ("", 200)]
)
def test_the_agent_is_gone(here: Stage, haproxy_binary: str, name: str, status: int):
    here.patient = False
    _start(here, haproxy_binary, _lines(name) if name else "")

    assert fetch(here.ports["front"], "/").status == status


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize("name", ["closed", "demanding", "open", "mixed"])
def test_the_agent_is_there(here: Stage, haproxy_binary: str, name: str):
    _agent(here)
    _start(here, haproxy_binary, _lines(name))

    assert fetch(here.ports["front"], "/").status == 200
    assert fetch(here.ports["front"], "/?id=1%27%20or%20%271%27=%271").status == 403


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("closed", 504), ("mixed", 504), ("demanding", 504), ("open", 200)])
def test_the_agent_has_no_verdict(here: Stage, haproxy_binary: str, name: str, status: int):
    """An application that it does not know."""
    agent = block("haproxy.md", "agent", "config.yml").replace("name: shop", "name: other")
    here.start_agent(agent + "  - name: another\n    directives: SecRuleEngine On\n")
    _start(here, haproxy_binary, _lines(name))

    assert fetch(here.ports["front"], "/").status == status


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("closed", 200), ("demanding", 504)])
def test_the_agent_was_never_asked(here: Stage, haproxy_binary: str, name: str, status: int):
    _agent(here)
    _start(here, haproxy_binary, _lines(name), asks=False)

    assert fetch(here.ports["front"], "/?id=1%27%20or%20%271%27=%271").status == status
