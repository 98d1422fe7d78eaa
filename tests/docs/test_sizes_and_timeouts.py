"""docs/sizes-and-timeouts.md: the relations of its table hold, and a real HAProxy shows what it says of its example."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from adapters.config_model import DEFAULT_ACTIVE_LIMIT, DEFAULT_DRAIN_MS, DEFAULT_TTL_MS
from spop_proto import Limits
from tests.adapters.harness import ROOT, fetch
from tests.docs.pages import Stage, block, blocks, check, page, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes, Site

PAGE = "sizes-and-timeouts.md"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ATTACK = b"&id=1%27%20or%20%271%27=%271"


def _table() -> dict[str, list[str]]:
    """The rows of the table: setting and place, and the cells after them."""
    rows = page(PAGE).partition("<!-- table -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {f"{row[0].strip('`')} ({row[1].replace('`', '')})": row[2:] for row in cells}


def _example() -> dict[str, int]:
    return {name: int(re.findall(r"\d+", cells[1])[0]) for name, cells in _table().items()}


def test_the_relations_hold():
    at = _example()
    of = {name.partition(" (")[0]: value for name, value in at.items()}
    agent_server, site_server = (at[f"timeout server (HAProxy, backend of the {whose})"] for whose in ("agent", "site"))

    assert of["largest body to inspect"] + of["headers of a request"] + of["tune.maxrewrite"] < of["tune.bufsize"]
    assert of["max-frame-size"] == of["tune.bufsize"] - 4
    assert of["max-frame-size"] < of["frames that the agent takes"]
    assert of["SecRequestBodyLimit"] > of["tune.bufsize"]
    assert of["SecResponseBodyLimit"] > of["tune.bufsize"]
    assert of["wait-for-body time"] < of["timeout http-request"]
    assert of["budget_ms"] < of["timeout processing"]
    assert site_server < of["transaction_ttl_ms"]
    assert of["timeout idle"] < agent_server
    assert of["timeout processing"] < of["drain_timeout_ms"] < of["TimeoutStopSec"]


def test_the_defaults_are_the_program_s():
    default = {name.partition(" (")[0]: cells[0] for name, cells in _table().items()}
    rules = (ROOT / "waf_engine" / "rules" / "recommended.conf").read_text()
    unit = (ROOT / "contrib" / "systemd" / "spoa-waf.service").read_text()

    assert default["frames that the agent takes"] == str(Limits().frame_size)
    assert default["transaction_ttl_ms"] == str(DEFAULT_TTL_MS)
    assert default["drain_timeout_ms"] == str(DEFAULT_DRAIN_MS)
    assert f"SecRequestBodyLimit {default['SecRequestBodyLimit']}\n" in rules
    assert f"SecResponseBodyLimit {default['SecResponseBodyLimit']}\n" in rules
    assert f"TimeoutStopSec={_example()['TimeoutStopSec (systemd unit)'] // 1000}\n" in unit
    assert DEFAULT_ACTIVE_LIMIT > 0


@pytest.fixture
def here(processes: Processes, site: Site) -> Iterator[Stage]:
    with stage(processes, site) as made:
        made.write("coraza.cfg", block("haproxy.md", "file", "coraza.cfg"))
        yield made


def _start(here: Stage, binary: str, *, large: bool, action: str) -> None:
    whole = block("haproxy.md", "file", "haproxy.cfg")
    if large:
        ((_, frontend),) = blocks(PAGE, "frontend")
        ((_, top),) = blocks(PAGE, "global")
        whole = f"{top}\n{whole.replace('    http-request wait-for-body time 1s' + chr(10), frontend)}"
    here.write("haproxy.cfg", whole)
    assert check(binary, here.folder) == ""
    agent = block("haproxy.md", "agent", "config.yml")
    here.start_agent(f"{agent}      SecRequestBodyLimitAction {action}\n")
    here.start_haproxy(binary)


def _post(here: Stage, size: int, end: bytes = b"") -> int:
    """A form of about so many bytes."""
    fields = b"".join(b"field%d=%s&" % (number, b"word " * 180) for number in range(size // 900))
    body = fields.replace(b" ", b"+") + b"last=1" + end
    return fetch(here.ports["front"], "/", method="POST", body=body, headers=FORM).status


@pytest.mark.haproxy
@pytest.mark.slow
def test_the_example_sees_the_end_of_a_large_body(here: Stage, haproxy_binary: str):
    _start(here, haproxy_binary, large=True, action="Reject")

    assert _post(here, 64000) == 200
    assert _post(here, 64000, ATTACK) == 403


@pytest.mark.haproxy
@pytest.mark.slow
@pytest.mark.parametrize(("action", "status"), [("Reject", 403), ("ProcessPartial", 200)])
def test_with_the_default_buffer_a_large_body_is_cut(here: Stage, haproxy_binary: str, action: str, status: int):
    """The attack is where HAProxy's buffer no longer reaches."""
    _start(here, haproxy_binary, large=False, action=action)

    assert _post(here, 9000, ATTACK) == 403
    assert _post(here, 64000, ATTACK) == status
