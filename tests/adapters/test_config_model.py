from __future__ import annotations

from dataclasses import replace

from adapters.bind import TcpBind, UnixBind
from adapters.config import parse_config
from adapters.config_model import Budget, ConfigError, Listener, Skip, TlsConfig
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


def test_the_addresses_of_a_configuration_are_those_of_its_listeners():
    config = parse_config("bind: :9000\n")
    unix = Listener(UnixBind("/run/x"), TlsConfig("c", "k"), Span("c.yaml", 3))

    assert config.binds == (TcpBind("", 9000),)
    assert replace(config, listeners=(unix, *config.listeners)).binds == (UnixBind("/run/x"), TcpBind("", 9000))


def test_what_a_configuration_does_not_say():
    config = parse_config("bind: :9000\napplications: [{name: a, directives: SecRuleEngine On}]\n")
    application = config.applications[0]

    assert (config.workers, config.autoreload, config.drain_timeout, config.serve_while_compiling) == (
        0,
        False,
        5,
        True,
    )
    assert {config.metrics, config.cache_folder, config.shared, config.rotation} == {None}
    assert (application.hosts, application.trusted_proxies, application.detect_only) == ((), (), False)
    assert (application.client_address_header, application.block_page) == ("", "")
    assert (application.skip, application.budget) == (Skip((), ()), Budget(0, "pass"))
