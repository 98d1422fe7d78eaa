"""Times, lines and bytes as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.audit.entry import AuditEntry, AuditFile
from waf_engine.audit.texts import file_mime, headline, one_line, reason, text, timestamp


def test_times_are_local(monkeypatch: pytest.MonkeyPatch):
    import time  # noqa: PLC0415  its zone is set here alone

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()

    assert timestamp(AuditEntry(id="", parts="AZ", started=0.9)) == "1970/01/01 05:30:00"


@given(st.binary())
def test_a_line_is_a_line(data: bytes):
    line = one_line(data, b'"')

    assert not set(line) & set(range(32))
    assert b'"' not in line
    assert b"\x7f" not in line
    if not set(data) & {*range(32), 0x7F, 0x22}:
        assert line == data


def test_lines_keep_what_is_not_utf8():
    assert one_line(b"a\xff\x80\tb") == b"a\xff\x80\\x09b"


@given(st.binary())
def test_text_can_be_written(data: bytes):
    assert text(data) == data.decode("utf-8", "backslashreplace")
    text(data).encode()


def test_headline():
    entry = AuditEntry(id="", parts="AZ", started=0, method=b"GET", uri=b"/a b\n", protocol=b"HTTP/1.0")

    assert headline(entry) == b"GET /a b\\x0a HTTP/1.0"


@pytest.mark.parametrize(("status", "phrase"), [(200, "OK"), (404, "Not Found"), (0, ""), (799, "")])
def test_reasons(status: int, phrase: str):
    assert reason(status) == phrase


def test_a_parts_own_type_goes_before_the_extension():
    assert file_mime(AuditFile(b"a.txt", 1, b"x/y")) == b"x/y"
    assert file_mime(AuditFile(b"a.txt", 1, b"")) == b"text/plain"
    assert file_mime(AuditFile(b"\xff", 1, b"")) == b""
