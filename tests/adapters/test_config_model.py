from __future__ import annotations

from adapters.config_model import ConfigError
from waf_engine.diagnostics import Diagnostic, Severity, Span


def test_the_error_shows_every_fault_and_counts_errors_only():
    error = Diagnostic(Severity.ERROR, "a", "is wrong", Span("c.yaml", 2, 3))
    warning = Diagnostic(Severity.WARNING, "b", "is odd", Span("c.yaml", 4))

    assert str(ConfigError([error, warning])) == (
        "c.yaml:2:3: error: is wrong [a]\n\nc.yaml:4:1: warning: is odd [b]\n\n1 error: nothing was started"
    )
    assert str(ConfigError([error, error])).endswith("2 errors: nothing was started")


def test_without_anything_understood_there_is_no_configuration():
    assert ConfigError([]).config is None
