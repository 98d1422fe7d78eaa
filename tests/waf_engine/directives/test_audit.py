"""SecAudit* and SecDebugLog*: what they set, what they refuse and where, relative paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.waf_engine.support import exchange, faults, warnings
from waf_engine import WAF, SecLangError

if TYPE_CHECKING:
    from pathlib import Path


def setting(text: str, name: str, **options: Any) -> Any:
    return getattr(WAF.from_directives(text, **options).plan.settings, name)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("", "audit_engine", "Off"),
        ("SecAuditEngine relevantonly", "audit_engine", "RelevantOnly"),
        ("", "audit_log_parts", "ABCFHZ"),
        ("SecAuditLogParts abijz", "audit_log_parts", "ABIJZ"),
        ("SecAuditLogType concurrent", "audit_log_type", "Concurrent"),
        ("SecAuditLogType https", "audit_log_type", "HTTPS"),
        ("SecAuditLogFormat jsonlegacy", "audit_log_format", "JsonLegacy"),
        ("SecAuditLogFormat ocsf", "audit_log_format", "OCSF"),
        ("", "audit_log_file_mode", 0o640),
        ("SecAuditLogFileMode 0600", "audit_log_file_mode", 0o600),
        ("SecAuditLogDirMode 02755", "audit_log_dir_mode", 0o2755),
        ("SecAuditLogDirMode 0700\nSecAuditLogDirMode default", "audit_log_dir_mode", 0o750),
        ('SecAuditLogRelevantStatus "^(?:5|4(?!04))"', "audit_log_relevant_status", "^(?:5|4(?!04))"),
        ("SecDebugLogLevel 9", "debug_log_level", 9),
        ("SecAuditLog /dev/stdout", "audit_log", "/dev/stdout"),
        ("SecAuditLog https://log.example/x", "audit_log", "https://log.example/x"),
    ],
)
def test_settings(text: str, name: str, value: object):
    assert setting(text, name) == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SecAuditEngine Maybe", ("bad-argument", 1, 16)),
        ("SecAuditLogParts ABXZ", ("bad-argument", 1, 20)),
        ("SecAuditLogType Carrier", ("bad-argument", 1, 17)),
        ("SecAuditLogFormat XML", ("bad-argument", 1, 19)),
        ("SecAuditLogFileMode 0888", ("bad-argument", 1, 21)),
        ("SecAuditLogDirMode 77777", ("bad-argument", 1, 20)),
        ("SecAuditLogDirMode 000000000777", ("bad-argument", 1, 20)),
        ("SecDebugLogLevel 10", ("bad-argument", 1, 18)),
        ("SecAuditEngine On\nSecAuditLog /proc/nonexistent/audit.log", ("audit-log", 2, 13)),
        ("SecAuditLog /proc/nonexistent/audit.log\nSecAuditEngine RelevantOnly", ("audit-log", 1, 13)),
        ("SecAuditEngine On\nSecAuditLogType HTTPS\nSecAuditLog ftp://x/", ("audit-log", 3, 13)),
        ("SecAuditEngine On\nSecAuditLogType HTTPS", ("audit-log", 2, 17)),
        ("SecAuditEngine On\nSecAuditLogType Syslog\nSecAuditLog http://x/", ("audit-log", 3, 13)),
        ("SecAuditEngine On\nSecAuditLogType Concurrent\nSecAuditLog /dev/stdout", ("audit-log", 3, 13)),
        (
            "SecAuditEngine On\nSecAuditLogStorageDir /proc/nonexistent\nSecAuditLogType Concurrent",
            ("audit-log", 2, 23),
        ),
        ("SecDebugLog /proc/nonexistent/debug.log", ("audit-log", 1, 13)),
    ],
)
def test_faults_stand_where_they_were_made(text: str, fault: tuple[str, int, int]):
    assert faults(text) == [fault]


def test_a_status_pattern_that_no_engine_takes():
    assert faults('SecAuditLogRelevantStatus "("') != []


def test_a_place_that_is_not_used_is_not_checked():
    assert setting("SecAuditLog /proc/nonexistent/audit.log", "audit_log") == "/proc/nonexistent/audit.log"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("SecAuditEngine On", [("no-audit-log", 1, 1)]),
        ("SecAuditEngine On\nSecAuditLog /dev/null", []),
        ("SecAuditEngine On\nSecAuditLog /dev/null\nSecAuditLog2 /dev/null", [("no-effect", 3, 1)]),
    ],
)
def test_warnings(text: str, warning: list[tuple[str, int, int]]):
    assert warnings(text) == warning


def test_relative_paths_begin_at_the_rules_file(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    rules = tmp_path / "x.conf"
    rules.write_text("SecRuleEngine On\nSecAuditEngine On\nSecAuditLog logs/audit.log\nSecDebugLog logs/debug.log\n")
    waf = WAF.from_files([rules])
    exchange(waf)
    waf.close()

    assert waf.plan.settings.debug_log == str(tmp_path / "logs" / "debug.log")
    assert (tmp_path / "logs" / "audit.log").read_bytes().startswith(b"--")


def test_relative_paths_of_a_text_begin_at_the_root(tmp_path: Path):
    assert setting("SecAuditLog audit.log", "audit_log", root=tmp_path) == str(tmp_path / "audit.log")


@pytest.mark.parametrize("directive", ["SecAuditLog", "SecAuditLogStorageDir", "SecDebugLog"])
def test_a_root_is_not_left(tmp_path: Path, directive: str):
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(f"{directive} ../x", root=tmp_path)

    assert [d.code for d in caught.value.errors] == ["outside-root"]


def test_a_check_creates_nothing(tmp_path: Path):
    WAF.from_directives(
        "SecAuditEngine On\nSecAuditLogType Concurrent\n"
        f"SecAuditLogStorageDir {tmp_path}\nSecAuditLog {tmp_path}/index\n"
        f"SecDebugLog {tmp_path}/debug\nSecDebugLogLevel 9"
    ).close()

    assert list(tmp_path.iterdir()) == []
