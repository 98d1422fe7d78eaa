from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.config import parse_config
from adapters.config_files import check_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.certificates import Certificates

CONFIG = """\
listen:
  - bind: :1
    tls: {{certificate: {certificate}, key: {key}}}
cache_folder: {cache}
applications:
  - name: a
    directives: SecRuleEngine On
    block_page: {page}
  - name: b
    directives: SecRuleEngine On
"""


def _faults(**files: object) -> list[tuple[str, str, str]]:
    found = check_files(parse_config(CONFIG.format(**files), "c.yaml"))
    return [(str(fault.span), fault.code, fault.message) for fault in found]


def test_files_that_can_be_used(certificates: Certificates, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text("<p>blocked: %{UNIQUE_ID}</p>")
    pair = {"certificate": certificates.path("agent.pem"), "key": certificates.path("agent.key")}

    assert _faults(**pair, cache=tmp_path, page=page) == []
    assert _faults(**pair, cache=tmp_path / "made" / "later", page=page) == []


def test_each_fault_has_its_place(certificates: Certificates, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text("%{PASSWORD}")
    other = certificates.path("client.key")
    found = _faults(certificate=certificates.path("agent.pem"), key=other, cache=page, page=page)

    assert [(place, code) for place, code, _ in found] == [
        (f"c.yaml:3:{31 + len(certificates.path('agent.pem'))}", "tls"),
        ("c.yaml:4:15", "cache-folder"),
        ("c.yaml:8:17", "block-page"),
    ]
    assert found[1][2] == f"cache_folder {page} is a file, not a folder"
    assert "%{PASSWORD}" in found[2][2]


def test_without_files_there_is_nothing_to_look_at():
    assert check_files(parse_config("bind: :1\n")) == []
