from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from adapters.assembly import addresses_of, check_log_folders, make_handler, open_log
from adapters.bind import TcpBind, UnixBind
from adapters.config import ConfigError, parse_config
from adapters.logs import Logs
from adapters.rule_sets import load_rule_sets
from adapters.sockets import listen

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
bind: 127.0.0.1:0
log_level: info
log_file: {log}
log_format: console
applications:
  - name: a
    directives: SecRuleEngine On
    response_check: true
    transaction_ttl_ms: 1000
    log_level: info
    log_file: ""
    log_format: console
"""


def test_folders_of_logs_are_checked_once_each() -> None:
    text = "bind: :1\nlog_file: /none/a.log\napplications: [{name: a, directives: x}, {name: b, directives: x}]\n"

    assert [fault.message for fault in check_log_folders(parse_config(text))] == ["there is no folder /none"]
    assert check_log_folders(parse_config("spoa: {bind: ':1'}\nlog: {dir: /none}\n")) == []


def test_processes_share_the_bounds_of_an_application(tmp_path: Path):
    config = parse_config(CONFIG.format(log=tmp_path / "a.log"))
    rule_sets = load_rule_sets(config)
    logs = Logs()
    alone = make_handler(config, rule_sets, logs, {}).applications["a"].store
    one_of_three = make_handler(config, rule_sets, logs, {}, share=3).applications["a"].store
    logs.close()

    assert alone.limit == 100_000
    assert one_of_three.limit == 33_334


def test_a_new_handler_takes_over_what_waits(tmp_path: Path):
    config = parse_config(CONFIG.format(log=tmp_path / "a.log"))
    rule_sets = load_rule_sets(config)
    logs = Logs()
    old = make_handler(config, rule_sets, logs, {})
    new = make_handler(config, rule_sets, logs, old.applications)
    logs.close()

    assert new.applications["a"].store is old.applications["a"].store


def test_a_log_that_cannot_be_opened_is_a_fault_of_the_configuration(tmp_path: Path):
    config = parse_config(CONFIG.format(log=tmp_path / "none" / "a.log"))

    with pytest.raises(ConfigError, match=f"cannot be opened: {os.strerror(errno.ENOENT).lower()}") as raised:
        open_log(Logs(), config.log)
    assert raised.value.diagnostics[0].span.line == 3


def test_addresses_are_written_as_a_configuration_has_them(tmp_path: Path):
    path = str(tmp_path / "a.sock")
    listeners = [*listen(TcpBind("127.0.0.1", 0)), *listen(UnixBind(path)), *listen(UnixBind("@spoa-waf-test-names"))]
    port = listeners[0].getsockname()[1]

    assert addresses_of(listeners) == [f"127.0.0.1:{port}", f"unix@{path}", "unix@@spoa-waf-test-names"]
    for each in listeners:
        each.close()
