"""Which transactions are recorded, and that recording neither waits, nor writes, nor raises."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import RULES, Kept, run
from tests.waf_engine.support import exchange
from waf_engine import WAF
from waf_engine.audit import log as log_module
from waf_engine.audit.log import TransactionLog
from waf_engine.audit.registry import TargetError
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from pathlib import Path

RELEVANT = "SecRuleEngine On\nSecAuditEngine RelevantOnly\n"
BY_STATUS = RELEVANT + 'SecAuditLogRelevantStatus "^(?:5|4(?!04))"\n'
QUIET = 'SecAction "id:1,phase:1,pass,nolog"\n'
AUDITED = 'SecAction "id:1,phase:1,pass,nolog,auditlog"\n'
LOGGED_ONLY = 'SecAction "id:1,phase:1,pass,log,noauditlog"\n'
BLOCKED = 'SecAction "id:1,phase:1,deny,status:403,nolog"\n'
DROPPED = 'SecAction "id:1,phase:1,drop,nolog"\n'


def recorded(rules: str, status: int = 200) -> bool:
    kept = Kept()
    waf = WAF.from_directives(rules, audit_writer=kept)
    exchange(waf, status=status)
    waf.close()
    return bool(kept.entries)


@pytest.mark.parametrize(
    ("rules", "status", "expected"),
    [
        ("SecRuleEngine On\n" + AUDITED, 500, False),  # the default is Off
        ("SecRuleEngine On\nSecAuditEngine Off\n" + AUDITED, 500, False),
        ("SecRuleEngine On\nSecAuditEngine On\n" + QUIET, 200, True),
        ("SecRuleEngine Off\nSecAuditEngine On\n" + QUIET, 200, False),
        (RELEVANT + QUIET, 500, False),
        (RELEVANT + LOGGED_ONLY, 200, False),
        (RELEVANT + AUDITED, 200, True),
        (BY_STATUS + QUIET, 200, False),
        (BY_STATUS + QUIET, 403, True),
        (BY_STATUS + QUIET, 404, False),
        (BY_STATUS + QUIET, 503, True),
        (BY_STATUS + AUDITED, 200, True),
        # An interruption is relevant whatever its status and however quiet its rule.
        (BY_STATUS + BLOCKED, 200, True),
        (RELEVANT + BLOCKED, 200, True),
        (RELEVANT + DROPPED, 200, True),
        ("SecRuleEngine DetectionOnly\nSecAuditEngine RelevantOnly\n" + BLOCKED, 200, False),
        (RELEVANT + 'SecAction "id:1,phase:1,pass,nolog,ctl:auditEngine=On"\n', 200, True),
        (
            "SecRuleEngine On\nSecAuditEngine On\n" + 'SecAction "id:1,phase:1,pass,nolog,ctl:auditEngine=Off"\n',
            200,
            False,
        ),
    ],
)
def test_which_transactions_are_recorded(rules: str, status: int, expected: bool):
    assert recorded(rules, status) is expected


@pytest.mark.parametrize(
    ("ctl", "parts"),
    [
        ("+E", "ABCEFHZ"),
        ("-C", "ABFHZ"),
        ("AKZ", "AKZ"),
        ("+xq", "ABCFHZ"),
    ],
)
def test_ctl_changes_the_parts_of_one_transaction(ctl: str, parts: str):
    kept = Kept()
    rules = f'SecRule ARGS:x "@streq 1" "id:1,phase:1,pass,nolog,ctl:auditLogParts={ctl}"'
    rules = f"SecRuleEngine On\nSecAuditEngine On\n{rules}"
    waf = WAF.from_directives(rules, audit_writer=kept)
    exchange(waf, "/?x=1")
    exchange(waf, "/?x=2")
    waf.close()

    assert [entry.parts for entry, _ in kept.entries] == [parts, "ABCFHZ"]


def test_nothing_is_written_by_the_callers_thread():
    kept = Kept()
    waf = WAF.from_directives(RULES, audit_writer=kept)
    for _ in range(10):
        run(waf)
    waf.close()

    assert len(kept.entries) == 10
    assert kept.threads
    assert threading.get_ident() not in kept.threads


def test_a_transaction_is_recorded_once():
    kept = Kept()
    waf = WAF.from_directives(RULES, audit_writer=kept)
    tx = run(waf)
    tx.process_logging()
    tx.close()
    waf.close()

    assert len(kept.entries) == 1


class Broken(Kept):
    def write(self, _entry: object, _data: bytes) -> None:
        raise OSError("the disk is on fire")


def test_a_writer_that_fails_does_not_hurt_the_request_and_is_reported():
    reports: list[str] = []
    waf = WAF.from_directives(RULES, audit_writer=Broken(), report=reports.append)
    interruptions = [run(waf).interruption for _ in range(3)]
    assert waf.log.flush(60)

    assert [i.status for i in interruptions if i] == [403, 403, 403]
    assert reports == ["audit log: 1 entries lost: OSError: the disk is on fire"]
    assert waf.log.audit is not None
    assert waf.log.audit.failed == 3


def test_a_fault_in_the_record_itself_does_not_hurt_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(_tx: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(log_module, "entry_of", broken)
    waf = WAF.from_directives(RULES, audit_writer=Kept())
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            run(waf)

    assert waf.log.failed == 2
    assert [record.name for record in caplog.records] == ["waf_engine.audit"]


def test_reports_go_to_the_standard_logger_when_nobody_asks_for_them(caplog: pytest.LogCaptureFixture):
    waf = WAF.from_directives(RULES, audit_writer=Broken())
    with caplog.at_level(logging.WARNING):
        run(waf)
        waf.close()

    assert [record.getMessage() for record in caplog.records] == [
        "audit log: 1 entries lost: OSError: the disk is on fire"
    ]


def test_serial_end_to_end_with_rotation(tmp_path: Path):
    log = tmp_path / "audit.log"
    waf = WAF.from_directives(f"{RULES}\nSecAuditLogFormat JSON\nSecAuditLog {log}")
    assert not log.exists()  # who only loads the rules leaves nothing behind
    run(waf)
    assert waf.log.flush(60)
    log.rename(tmp_path / "audit.log.1")
    waf.reopen_logs()
    run(waf)
    waf.close()

    assert [len(path.read_bytes().splitlines()) for path in (log, tmp_path / "audit.log.1")] == [1, 1]


def test_settings_without_directives_can_be_refused(tmp_path: Path):
    registries = default_registries()
    settings = WAF.from_directives("", settings={}).plan.settings
    bad = {name: getattr(settings, name) for name in settings.__slots__} | {
        "audit_engine": "On",
        "audit_log": str(tmp_path / "absent" / "x"),
    }
    with pytest.raises(TargetError, match="there is no folder"):
        TransactionLog(type(settings)(**bad), registries.audit_formats, registries.audit_writers)
    off = TransactionLog(
        type(settings)(**{**bad, "audit_engine": "Off"}), registries.audit_formats, registries.audit_writers
    )
    assert off.audit is None
