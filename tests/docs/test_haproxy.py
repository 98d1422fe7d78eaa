"""docs/haproxy.md: HAProxy takes its configurations without a word, and they do what the page says of them."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING

import pytest

from tests.adapters.harness import fetch
from tests.adapters.workers.stand import until
from tests.docs.pages import Stage, block, blocks, check, page, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.harness import Processes, Site

PAGE = "haproxy.md"
EVENT = "    event on-http-response\n"
RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule ARGS:do "@streq deny" "id:1,phase:2,deny,log,msg:'deny'"
SecRule ARGS:do "@streq redirect" "id:2,phase:2,redirect:/elsewhere,log,msg:'redirect'"
SecRule ARGS:do "@streq drop" "id:3,phase:2,drop,log,msg:'drop'"
SecRule RESPONSE_BODY "@contains root:x:0:0" "id:4,phase:4,deny,log,msg:'a leak'"
SecRule REQUEST_URI "@beginsWith /later" "id:5,phase:3,pass,log,msg:'a head'"
"""


@pytest.fixture
def here(processes: Processes, site: Site) -> Iterator[Stage]:
    with stage(processes, site) as made:
        for name, text in blocks(PAGE, "file"):
            made.write(name, text)
        yield made


def _start(here: Stage, binary: str) -> None:
    head, marker, _ = block(PAGE, "agent", "config.yml").partition("directives: |\n")
    assert marker
    here.start_agent(head + marker + "".join(f"      {line}\n" for line in RULES.strip().splitlines()))
    here.start_haproxy(binary)


@pytest.mark.haproxy
def test_haproxy_has_nothing_to_complain_about(here: Stage, haproxy_binary: str):
    assert check(haproxy_binary, here.folder) == ""


@pytest.mark.haproxy
@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in ("frontend", "backend") for n, _ in blocks(PAGE, k)])
def test_each_part_fits_into_the_whole(here: Stage, haproxy_binary: str, kind: str, name: str):
    whole, part = block(PAGE, "file", "haproxy.cfg"), block(PAGE, kind, name)
    before, after = whole.split("backend coraza-spoa\n")
    if kind == "frontend":
        line = "    http-request wait-for-body time 1s\n"
        first, second = before.split(line)
        whole = first + part + line + second + "backend coraza-spoa\n" + after
    else:
        whole = before + part
    here.write("haproxy.cfg", whole)

    assert check(haproxy_binary, here.folder) == ""


@pytest.mark.haproxy
@pytest.mark.slow
def test_each_verdict_has_its_effect(here: Stage, haproxy_binary: str):
    _start(here, haproxy_binary)
    front = here.ports["front"]
    statuses = [fetch(front, target).status for target in ("/?do=nothing", "/?do=deny", "/?do=redirect", "/leak")]
    form = fetch(
        front, "/", method="POST", body=b"do=deny", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert statuses == [200, 403, 302, 403]
    assert form.status == 403
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, TimeoutError)):
        _answer(front, "/?do=drop")


def _answer(port: int, target: str) -> None:
    """Ask with little patience: a silent drop tells the client nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", target)
        connection.getresponse()
    finally:
        connection.close()


@pytest.mark.haproxy
@pytest.mark.slow
def test_a_response_body_in_a_later_packet_is_seen_by_the_group_only(here: Stage, haproxy_binary: str):
    """The site sends the head, and the body when the test allows it."""

    def heads() -> int:
        return (here.folder / "agent.out").read_text().count('[id "5"]')

    _start(here, haproxy_binary)
    release = here.site.release
    allow = threading.Timer(0.2, release.set)
    allow.start()
    by_group = fetch(here.ports["front"], "/later")
    allow.join()
    assert by_group.status == 403

    release.clear()
    whole = block(PAGE, "file", "haproxy.cfg")
    by_event = block(PAGE, "file", "coraza.cfg").replace("res.body\n", f"res.body\n{EVENT}")
    by_event = by_event.replace("groups coraza-req coraza-res", "groups coraza-req\n    messages coraza-res")
    here.write("coraza.cfg", by_event.partition("spoe-group coraza-res")[0])
    whole = whole.replace("    http-response send-spoe-group coraza coraza-res\n", "")
    whole = whole.replace("http-response wait-for-body time 1s", "http-response wait-for-body time 5s")
    here.write("haproxy.cfg", whole)
    old = here.processes.started[-1]
    old.terminate()
    old.wait(60)
    here.start_haproxy(haproxy_binary)
    judged = heads()

    def allow_when_judged() -> None:
        until(lambda: heads() > judged)
        release.set()

    allowing = threading.Thread(target=allow_when_judged)
    allowing.start()
    late = fetch(here.ports["front"], "/later")
    allowing.join()

    assert (late.status, late.body[:10]) == (200, b"root:x:0:0")


def test_the_page_has_the_versions_of_the_readme():
    assert all(version in page(PAGE) for version in ("2.6", "2.8", "3.0", "3.1"))
