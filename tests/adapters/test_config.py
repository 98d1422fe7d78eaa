from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bind import TcpBind, UnixBind
from adapters.config import DEFAULT_BIND, EMBEDDED_RULES, Config, ConfigError, find_config, load_config, parse_config
from adapters.config_process import OWN_KEYS
from adapters.logs import LEVELS, Sink

FLAT = """\
log:
  level: debug
  dir: /var/log/coraza
spoa:
  bind: 0.0.0.0:9000
  include:
    - /etc/coraza/coraza.conf
    - /etc/coraza/rules/*.conf
  transaction_ttl: 30000
  transaction_active_limit: 500
"""

LIST = """\
bind: unix:///run/x.sock
log_level: warn
log_file: /dev/stderr
log_format: json
default_application: b
applications:
  - name: a
    directives: |
      SecRuleEngine On

      SecRule ARGS "@rx x" "id:1,deny"
    response_check: true
    transaction_ttl_ms: 5000
    transaction_active_limit: 7
    log_level: error
    log_file: /tmp/a.log
    log_format: console
  - name: b
    directives: "SecRuleEngine Off"
"""


def _faults(text: str) -> list[tuple[str, int, int]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    return [(fault.code, fault.span.line, fault.span.column) for fault in caught.value.diagnostics]


def _warnings(config: Config) -> list[str]:
    return [fault.code for fault in config.warnings]


def test_the_flat_form() -> None:
    config = parse_config(FLAT, "c.yaml")

    assert config.generation == "A"
    assert config.binds == (TcpBind("0.0.0.0", 9000),)
    (application,) = config.applications
    assert (application.name, config.default_application) == ("default", "default")
    assert [name for name, _ in application.include] == ["/etc/coraza/coraza.conf", "/etc/coraza/rules/*.conf"]
    assert str(application.include[1][1]) == "c.yaml:8:7"
    assert (application.directives, application.response_check) == ("", True)
    assert (application.ttl, application.active_limit) == (30.0, 500)
    error = LEVELS["error"]
    assert config.log.level == LEVELS["debug"]
    assert config.log.sinks == (
        Sink("/var/log/coraza/server.log", below=error, make_folder=True),
        Sink("/var/log/coraza/error.log", lowest=error, make_folder=True),
    )
    assert config.warnings == ()


def test_the_flat_form_with_nothing_in_it() -> None:
    config = parse_config("spoa:\n", "c.yaml")

    (application,) = config.applications
    assert config.binds == (DEFAULT_BIND,)
    assert application.directives == EMBEDDED_RULES
    assert (application.ttl, application.active_limit) == (60.0, 100_000)
    assert config.log.level == LEVELS["warn"]
    assert [sink.path for sink in config.log.sinks] == ["logs/server.log", "logs/error.log"]
    assert _warnings(config) == ["no-bind"]


def test_the_flat_form_only_warns_of_unknown_keys() -> None:
    config = parse_config("spoa: {bind: ':1', includ: []}\nlog: {format: x}\nother: 1\n", "c.yaml")

    assert _warnings(config) == ["unknown-key"] * 3


def test_a_flat_form_that_sets_only_its_logs() -> None:
    config = parse_config("log: {dir: /tmp/logs}\n", "c.yaml")

    assert (config.generation, config.default_application) == ("A", "default")
    assert config.log.sinks[0].path == "/tmp/logs/server.log"
    assert _warnings(config) == ["no-bind"]


def test_two_forms_in_one_file() -> None:
    assert _faults("applications: {}\nspoa: {bind: ':1'}\n") == [
        ("unknown-key", 1, 1),
        ("contradiction", 2, 7),
    ]


@pytest.mark.parametrize("text", ["[]", "hello", "- name: a\n"])
def test_what_is_no_map_has_one_fault(text: str) -> None:
    assert _faults(text) == [("wrong-type", 1, 1)]


def test_the_hint_names_every_key_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("x-common: 1\nlisten: [{bind: ':1', zzz: 1}]\n", "c.yaml")

    hints = {fault.span.line: fault.hint.split(": ")[1].split(", ") for fault in caught.value.diagnostics if fault.hint}
    assert {*OWN_KEYS, "bind", "applications"} <= {*hints[1]}
    assert hints[2] == ["bind", "group", "mode", "owner", "tls"]


def test_rotation_makes_the_folder_of_all_log_files() -> None:
    text = "bind: ':1'\nlog_file: /a/b\napplications: [{name: a, log_file: /c/d, directives: SecRuleEngine On}]\n"

    def made(config: Config) -> list[bool]:
        return [log.sinks[0].make_folder for log in (config.log, config.applications[0].log)]

    assert made(parse_config(text)) == [False, False]
    assert made(parse_config(text + "log_rotation: {}\n")) == [True, True]


@pytest.mark.parametrize("value", ["0", "-5", "soon"])
@pytest.mark.parametrize("key", ["transaction_ttl", "transaction_active_limit"])
def test_the_flat_form_refuses_what_is_not_above_zero(key: str, value: str) -> None:
    (fault,) = _faults(f"spoa:\n  bind: :1\n  {key}: {value}\n")

    assert fault[0] in ("out-of-range", "wrong-type")
    assert fault[1:] == (3, len(key) + 5)


def test_a_ttl_below_a_second_is_suspicious() -> None:
    config = parse_config("spoa: {bind: ':1', transaction_ttl: 60}\n")

    assert config.applications[0].ttl == 0.06
    assert _warnings(config) == ["short-ttl"]


def test_the_list_form() -> None:
    config = parse_config(LIST, "c.yaml")

    assert config.generation == "C"
    assert config.binds == (UnixBind("/run/x.sock"),)
    assert (config.log.level, config.log.sinks) == (LEVELS["warn"], (Sink("/dev/stderr", "json"),))
    first, second = config.applications
    assert (first.name, second.name, config.default_application) == ("a", "b", "b")
    assert first.directives == 'SecRuleEngine On\n\nSecRule ARGS "@rx x" "id:1,deny"\n'
    assert str(first.directives_at) == "c.yaml:9:7"
    assert (first.response_check, first.ttl, first.active_limit) == (True, 5.0, 7)
    assert (first.log.level, first.log.sinks) == (LEVELS["error"], (Sink("/tmp/a.log"),))
    assert (second.response_check, second.ttl, second.directives_at) == (False, 60.0, None)
    assert second.log == config.log
    assert config.warnings == ()


def test_the_list_form_is_strict() -> None:
    text = LIST.replace("response_check", "respons_check").replace("bind:", "bnd:")

    assert _faults(text) == [("no-bind", 1, 1), ("unknown-key", 1, 1), ("unknown-key", 12, 5)]


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    text = """\
bind: localhost
log_level: loud
log_format: xml
default_application: nobody
applications:
  - name: a
    directives: [x]
    transaction_ttl_ms: -1
    response_check: perhaps
    colour: red
  - directives: SecRuleEngine On
  - 5
"""

    assert _faults(text) == [
        ("bad-address", 1, 7),
        ("bad-value", 2, 12),
        ("bad-value", 3, 13),
        ("unknown-name", 4, 22),
        ("wrong-type", 7, 17),
        ("out-of-range", 8, 25),
        ("wrong-type", 9, 21),
        ("unknown-key", 10, 5),
        ("no-name", 11, 5),
        ("wrong-type", 12, 5),
    ]


def test_no_applications_is_a_warning() -> None:
    assert _warnings(parse_config("bind: :1\n")) == ["no-applications"]
    assert _warnings(parse_config("bind: :1\napplications: []\n")) == ["no-applications"]


def test_an_application_without_directives_is_a_warning() -> None:
    assert _warnings(parse_config("bind: :1\napplications: [{name: a}]\n")) == ["no-rules"]


def test_of_two_applications_of_a_name_the_last_wins() -> None:
    config = parse_config("bind: :1\napplications: [{name: a, directives: x}, {name: a, directives: y}]\n")

    assert [each.directives for each in config.applications] == ["y"]
    assert _warnings(config) == ["duplicate-name"]


def test_a_ttl_of_zero_is_the_default() -> None:
    config = parse_config("bind: :1\napplications: [{name: a, directives: x, transaction_ttl_ms: 0}]\n")

    assert config.applications[0].ttl == 60.0


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("", "info"),
        ("info", "info"),
        ("WARN", "warn"),
        ("warning", "warn"),
        ("disabled", "disabled"),
        ("trace", "trace"),
    ],
)
def test_levels(word: str, level: str) -> None:
    config = parse_config(f"bind: :1\nlog_level: {word}\napplications: [{{name: a, directives: x}}]\n")

    assert config.log.level == LEVELS[level]


def test_shared_settings_by_anchor() -> None:
    text = """\
bind: :1
applications:
  - &a {name: a, directives: x, response_check: true}
  - {<<: *a, name: b}
"""
    config = parse_config(text)

    assert [(each.name, each.response_check) for each in config.applications] == [("a", True), ("b", True)]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file(text: str) -> None:
    assert _faults(text) == [("empty", 1, 1)]


def test_the_message_shows_place_and_count() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("bind: :1\nlog_levle: x\napplications: []\n", "c.yaml")

    assert str(caught.value).startswith("c.yaml:2:1: error: 'log_levle' is not a key of the top of the file")
    assert "\n    log_levle: x\n    ^\n" in str(caught.value)
    assert str(caught.value).endswith("1 error: nothing was started")


def test_load_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FLAT.encode())

    assert load_config(path).path == str(path)


@pytest.mark.parametrize(
    ("content", "code"), [(None, "unreadable-file"), (b"bind: \xff\n", "not-utf-8"), (b"#" * (5 << 20), "too-large")]
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert [fault.code for fault in caught.value.diagnostics] == [code]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path)


def test_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adapters.config.USUAL_PLACES", ("config.yml", "config.yaml"))
    assert find_config() is None
    (tmp_path / "config.yaml").touch()
    assert find_config() == Path("config.yaml")
    (tmp_path / "config.yml").touch()
    assert find_config() == Path("config.yml")


OURS = """\
listen:
  - 127.0.0.1:9000
  - bind: unix:/run/x
    mode: 0660
    owner: a
  - {bind: "[::]:9443", tls: {certificate: a, key: b, client_ca: c}}
workers: auto
drain_timeout_ms: 10
metrics: 127.0.0.1:9100
cache_folder: /x
shared: {url: "redis://u:p@[::1]:6379/0", timeout_ms: 20, prefix: "a:"}
log_rotation: {size_mb: 5, keep: 1, days: 0, compress: true}
applications:
  - name: a
    directives: SecRuleEngine On
    hosts: [a.example, "*.a.example", "[::1]"]
    trusted_proxies: [10.0.0.0/8, "fd00::/8"]
    client_address_header: X-Real-IP
    skip: {paths: [/a/*, "/b?"], content_types: [image/*]}
    block_page: x
    budget_ms: 2.5
    budget_action: deny
"""
WORDS = st.sampled_from(
    [
        *(
            "bind",
            "log",
            "spoa",
            "include",
            "applications",
            "name",
            "directives",
            "x",
            ":1",
            "5",
            "true",
            "",
            "null",
            "<<",
        ),
        *("listen", "tls", "certificate", "mode", "shared", "url", "redis://h", "log_rotation", "workers", "metrics"),
        *("hosts", "*.x", "skip", "paths", "/x*", "content_types", "trusted_proxies", "budget_ms", "budget_action"),
    ]
)
TREES = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=5)),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), TREES.map(lambda tree: __import__("yaml").safe_dump(tree)), TREES.map(repr)))
def test_any_text_is_a_configuration_or_a_list_of_faults(text: str) -> None:
    try:
        shown = str(parse_config(text).binds)
    except ConfigError as error:
        shown = str(error)

    assert shown


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_configuration_never_is_a_traceback(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([FLAT, LIST, OURS]))
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 8))
    damaged = text[:start] + data.draw(st.text(max_size=6)) + text[start + length :]

    try:
        shown = str(parse_config(damaged).binds)
    except ConfigError as error:
        shown = str(error)

    assert shown
