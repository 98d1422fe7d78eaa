"""docs/from-coraza-spoa.md: the flags and variables that it names are there, and an old unit's command line starts."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from adapters.go_flags import SWITCHES, VALUES, main, parse_flags
from tests.adapters.harness import free_ports, wait_for_port
from tests.docs.pages import page

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.harness import Processes

PAGE = page("from-coraza-spoa.md")
OLD = """\
bind: 127.0.0.1:{port}
log_level: info
log_file: /dev/stdout
log_format: console
applications:
  - name: sample_app
    directives: |
      Include @coraza.conf-recommended
      SecRuleEngine On
    response_check: true
    transaction_ttl_ms: 60000
    log_level: info
    log_file: /dev/stdout
    log_format: console
"""


def _row(name: str) -> str:
    (row,) = re.findall(rf"^\| {name} \| (.*) \|$", PAGE, re.MULTILINE)
    return str(row)


def test_every_flag_is_told():
    named = {word.removeprefix("-") for word in re.findall(r"`(-[a-z-]+)`", _row("flags"))}

    assert named - {"-x"} == VALUES.keys() | SWITCHES.keys()


def test_every_variable_of_coraza_spoa_is_told():
    names = ("action", "data", "status", "ruleid", "id", "rules_hit", "anomaly_score", "rule_ids", "fail")

    assert [name for name in names if f"`{name}`" not in _row("variables")] == []


def test_the_command_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    (command,) = re.findall(r"^    coraza-spoa (-validate .*?)  +#", PAGE, re.MULTILINE)
    (tmp_path / "config.yaml").write_text(OLD.format(port=0))
    monkeypatch.chdir(tmp_path)
    words = command.replace("/etc/coraza-spoa/", "").split()

    assert parse_flags(words).switches == {"validate": True}
    assert main(words) == 0
    assert "Configuration file is valid" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_of_an_old_unit_starts(processes: Processes):
    assert "ExecStart=/usr/bin/coraza-spoa -config /etc/coraza-spoa/config.yaml" in PAGE
    (port,) = free_ports(1)
    (processes.folder / "config.yaml").write_text(OLD.format(port=port))
    start = "import sys; from adapters.cli import coraza_spoa_main; sys.exit(coraza_spoa_main())"
    agent = processes.start([sys.executable, "-c", start, "-config", "config.yaml"], "agent.out")
    wait_for_port(port, agent)
    agent.terminate()

    assert agent.wait(120) == 0
