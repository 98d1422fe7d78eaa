"""Which formats and writers there are, and that a plug-in's are used like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.waf_engine.audit.support import Kept
from tests.waf_engine.support import exchange
from waf_engine import WAF, audit
from waf_engine.audit import AuditFormat, audit_formats, audit_writers
from waf_engine.audit.registry import TargetError, audit_format
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from waf_engine.audit import AuditEntry, WriterConfig


def test_formats_and_writers():
    assert set(audit_formats.canonical_names()) == {"Native", "JSON", "JsonLegacy", "OCSF"}
    assert set(audit_writers.canonical_names()) == {"Serial", "Concurrent", "HTTPS", "Syslog"}
    assert audit_writers.get("parallel") is audit_writers.get("Concurrent")


def test_each_file_that_registers_something_is_loaded():
    folder = Path(audit.__file__).parent
    marks = ("@audit_format(", "@audit_writers.register(")
    registering = {path.stem for path in folder.glob("*.py") if any(mark in path.read_text() for mark in marks)}

    assert {family.__name__.rpartition(".")[2] for family in audit.FAMILIES} == registering


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        audit_format("native", "x/y")(lambda _entry: b"")


def test_a_plug_in_adds_to_copies():
    kept, configs = Kept(), []

    def make(config: WriterConfig) -> Kept:
        configs.append(config)
        return kept

    def render(entry: AuditEntry) -> bytes:
        return entry.id.encode()

    registries = default_registries()
    formats, writers = registries.audit_formats.copy(), registries.audit_writers.copy()
    formats.add(AuditFormat("Own", "x/own", render), "Own")
    writers.add(make, "Carrier")
    registries = replace(registries, audit_formats=formats, audit_writers=writers)
    rules = (
        "SecRuleEngine On\nSecAuditEngine On\nSecAuditLogFormat own\nSecAuditLogType carrier\nSecAuditLog x://pigeon"
    )
    waf = WAF.from_directives(rules, registries=registries)
    exchange(waf)
    waf.close()

    assert [data for _, data in kept.entries] == [b"T1"]
    assert kept.closed == 1
    assert (configs[-1].target, configs[-1].mime) == ("x://pigeon", "x/own")
    assert "Own" not in audit_formats


def test_a_refusal_names_its_directive():
    error = TargetError("no", directive="SecAuditLog2", hint="yes")

    assert (error.directive, error.code, error.hint) == ("SecAuditLog2", "audit-log", "yes")
