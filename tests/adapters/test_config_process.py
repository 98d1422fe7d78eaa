from __future__ import annotations

import pytest

from adapters.bind import TcpBind
from adapters.config import ConfigError, parse_config
from adapters.config_model import FLAT_ROTATION, Config, Rotation

ALL = """\
bind: 127.0.0.1:9000
workers: 4
autoreload: true
drain_timeout_ms: 2500
metrics: 127.0.0.1:9100
cache_folder: /var/cache/spoa-waf
serve_while_compiling: false
plugins: false
shared: {url: "redis://:secret@127.0.0.1:6379/2", timeout_ms: 15, prefix: "a:"}
log_rotation: {size_mb: 64, keep: 5, days: 3, compress: false}
applications: [{name: a, directives: SecRuleEngine On}]
"""


def _config(settings: str) -> Config:
    return parse_config(f"bind: :1\napplications: [{{name: a, directives: x}}]\n{settings}\n", "c.yaml")


def _faults(settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _config(settings)
    return [f"{each.span.line}:{each.span.column} {each.code}: {each.message}" for each in caught.value.diagnostics]


def test_all_of_them():
    config = parse_config(ALL, "c.yaml")

    assert (config.generation, config.warnings) == ("ours", ())
    assert (config.workers, config.autoreload, config.drain_timeout, config.plugins) == (4, True, 2.5, False)
    assert (config.metrics, config.cache_folder) == (TcpBind("127.0.0.1", 9100), "/var/cache/spoa-waf")
    assert config.serve_while_compiling is False
    assert config.rotation == Rotation(64 << 20, 5, 3, compress=False)
    shared = config.shared
    assert shared is not None
    assert (shared.url, shared.timeout, shared.prefix) == ("redis://:secret@127.0.0.1:6379/2", 0.015, "a:")
    assert str(shared.where) == "c.yaml:9:15"


def test_what_the_parts_leave_out():
    config = _config("workers: auto\nlog_rotation: {keep: 0}\nshared: {url: 'unix:///run/redis.sock?db=1'}")

    assert config.workers == 0
    assert config.rotation == Rotation(FLAT_ROTATION.size, 0, 7, compress=True)
    assert config.shared is not None
    assert (config.shared.timeout, config.shared.prefix) == (0.02, "spoa-waf:")


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://h:6379", "rediss://u:p@h.example:1/0", "redis://[::1]:6379/5", "unix:///x"]
)
def test_urls(url: str):
    shared = _config(f"shared: {{url: '{url}'}}").shared

    assert shared is not None
    assert shared.url == url


@pytest.mark.parametrize(
    "generation", ["spoa: {{bind: ':1'}}\n{}", "applications: {{a: {{directives: x}}}}\nbind: ':1'\n{}"]
)
def test_older_forms_do_not_have_them(generation: str):
    config = parse_config(generation.format("workers: 4"))

    assert (config.workers, [fault.code for fault in config.warnings]) == (0, ["unknown-key"])


def test_the_flat_form_sets_its_files_aside_as_it_always_did():
    assert parse_config("spoa: {bind: ':1'}").rotation == Rotation(128 << 20, 30, 7, compress=True)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("workers: 0", "3:10 out-of-range: workers must be from 1 to 1024 processes, or auto, not 0"),
        ("workers: all", "3:10 wrong-type: workers must be a whole number of processes, or auto, not 'all'"),
        ("workers: [1]", "3:10 wrong-type: workers must be a whole number of processes, or auto, not a list"),
        ("autoreload: sometimes", "3:13 wrong-type: autoreload must be true or false, not 'sometimes'"),
        (
            "drain_timeout_ms: 5s",
            "3:19 wrong-type: drain_timeout_ms must be a whole number of milliseconds, not '5s'",
        ),
        (
            "drain_timeout_ms: 3600001",
            "3:19 out-of-range: drain_timeout_ms must be from 0 to 3600000 milliseconds, not 3600001",
        ),
        ("metrics: 9100", "3:10 bad-address: metrics: '9100' is only a port"),
        ("metrics: unix:/run/x", "3:10 bad-address: metrics must be HOST:PORT, which Prometheus can ask"),
        ("metrics: :1", "3:10 contradiction: metrics and the agent cannot both listen on :1"),
        ("metrics: 127.0.0.1:1", "3:10 contradiction: metrics and the agent cannot both listen on 127.0.0.1:1"),
        ("cache_folder: ' '", "3:15 bad-value: cache_folder is not a path"),
        ("shared:", "1:1 no-url: shared has no url: where is the server?"),
        ("shared: {prefix: x}", "3:9 no-url: shared has no url: where is the server?"),
        ("shared: redis://h", "3:9 wrong-type: shared must be a map of keys, not 'redis://h'"),
        ("shared: {url: 'http://h'}", "3:15 bad-address: shared.url must begin with redis://, rediss://, unix://"),
        ("shared: {url: 'redis:h'}", "3:15 bad-address: shared.url must begin with redis://, rediss://, unix://"),
        ("shared: {url: 'redis://'}", "3:15 bad-address: shared.url names no host"),
        ("shared: {url: 'redis://h:x'}", "3:15 bad-address: shared.url is no URL: its host or its port cannot be read"),
        ("shared: {url: 'redis://h:0'}", "3:15 bad-address: shared.url has the port 0"),
        ("shared: {url: 'redis://h/x'}", "3:15 bad-address: shared.url must end with the number of a database"),
        ("shared: {url: 'unix://'}", "3:15 bad-address: shared.url names no path of a socket"),
        ("shared: {url: 'redis://a b@h'}", "3:15 bad-address: shared.url holds a blank or a control character"),
        (
            "shared: {url: 'redis://h', timeout_ms: 0}",
            "3:40 out-of-range: shared.timeout_ms must be from 1 to 10000 milliseconds, not 0",
        ),
        (
            "shared: {url: 'redis://h', prefix: 'a b'}",
            "3:36 bad-value: shared.prefix must be at most 64 characters without blanks",
        ),
        ("shared: {url: 'redis://h', db: 1}", "3:28 unknown-key: 'db' is not a key of shared"),
        (
            "log_rotation:",
            "1:1 wrong-type: log_rotation says nothing: are log files to be set aside, or not?",
        ),
        ("log_rotation: on", "3:15 wrong-type: log_rotation must be a map of keys, not 'on'"),
        (
            "log_rotation: {size_mb: 0}",
            "3:25 out-of-range: log_rotation.size_mb must be from 1 to 1048576 MiB, not 0",
        ),
        ("log_rotation: {size: 5}", "3:16 unknown-key: 'size' is not a key of log_rotation"),
    ],
)
def test_what_cannot_be_meant(settings: str, fault: str):
    assert _faults(settings) == [fault]


def test_a_password_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        _config("shared:\n  url: 'redis://:hunter2@h:x'")

    assert "hunter2" not in caught.value.diagnostics[0].message


def test_the_same_port_of_another_address_is_no_contradiction():
    config = parse_config("bind: 127.0.0.1:1\nmetrics: 127.0.0.2:1\n")

    assert config.metrics == TcpBind("127.0.0.2", 1)
