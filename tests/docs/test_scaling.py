"""docs/scaling.md: HAProxy takes its configuration without a word, and responses find the agents of their requests."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from adapters.config import load_config
from adapters.config_model import DEFAULT_SHARED_PREFIX, DEFAULT_SHARED_TIMEOUT_MS
from adapters.redis_courier import PROBE_EVERY, TOLERATED
from adapters.shared_store import SPARE_SECONDS
from tests.adapters.harness import free_ports, spoa_waf, wait_for_port
from tests.docs.pages import Stage, block, blocks, check, page, stage
from waf_engine.runtime.snapshot import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.adapters.harness import Processes, Site

PAGE = "scaling.md"
AGENT = """\
bind: 127.0.0.1:{port}
log_file: /dev/null
applications:
  - name: shop
    response_check: true
    directives: |
      SecRuleEngine On
      SecRule ARGS:do "@streq deny" "id:1,phase:2,deny,log,msg:'deny'"
      SecRule RESPONSE_HEADERS:X-Leak "@streq secret" "id:2,phase:3,deny,log,msg:'a leak'"
"""


@pytest.fixture
def here(processes: Processes, site: Site) -> Iterator[Stage]:
    with stage(processes, site) as made:
        (second,) = free_ports(1)
        made.ports["second"] = second
        for name, text in blocks(PAGE, "file"):
            made.write(name, re.sub(r"\b9001\b", str(second), text))
        yield made


@pytest.mark.haproxy
def test_haproxy_has_nothing_to_complain_about(here: Stage, haproxy_binary: str):
    assert check(haproxy_binary, here.folder) == ""


@pytest.mark.haproxy
@pytest.mark.slow
def test_responses_find_the_agents_of_their_requests(here: Stage, haproxy_binary: str):
    for name in ("agent", "second"):
        (here.folder / f"{name}.yml").write_text(AGENT.format(port=here.ports[name]))
        command = spoa_waf("serve", "-c", f"{name}.yml")
        wait_for_port(here.ports[name], here.processes.start(command, f"{name}.out"))
    here.start_haproxy(haproxy_binary)

    connection = http.client.HTTPConnection("127.0.0.1", here.ports["front"], timeout=10)
    statuses = []
    for target in ("/", "/?do=deny", "/leak") * 20:
        connection.request("GET", target)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()

    assert statuses == [200, 403, 403] * 20  # a response without its transaction would be 504


def test_the_setting_is_one(tmp_path: Path):
    text = block(PAGE, "yaml", "shared")
    (tmp_path / "config.yml").write_text("bind: 127.0.0.1:9000\n" + text + AGENT.partition("log_file: /dev/null\n")[2])
    shared = load_config(tmp_path / "config.yml").shared
    written = yaml.safe_load(text)["shared"]

    assert shared is not None
    assert (shared.url, shared.timeout * 1000, shared.prefix) == tuple(written.values())
    assert written["timeout_ms"] == DEFAULT_SHARED_TIMEOUT_MS
    assert written["prefix"] == DEFAULT_SHARED_PREFIX


def test_what_the_page_says_of_numbers_is_so():
    text = page(PAGE)

    assert f"`transaction_ttl_ms` and {SPARE_SECONDS:.0f} s more" in text
    assert (PROBE_EVERY, "shared again within half a second" in text) == (0.5, True)
    assert (TOLERATED, "The first ones wait `timeout_ms` twice" in text) == (2, True)
    assert (MAX_BYTES, "a snapshot above 1 MiB" in text) == (2**20, True)
