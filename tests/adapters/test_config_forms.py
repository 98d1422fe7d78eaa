"""The map forms (B1 to B3) as their users wrote them; the flat form and the list are in test_config.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.bind import TcpBind
from adapters.config import Config, ConfigError, parse_config
from adapters.config_forms import include_line
from adapters.logs import LEVELS, Sink
from adapters.rule_sets import load_rule_sets
from waf_engine.seclang.ast import Directive
from waf_engine.seclang.parser import parse_source
from waf_engine.source import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

B1 = """\
bind: 0.0.0.0:9000
applications:
  shop:
    include:
      - /etc/coraza-spoa/coraza.conf
      - /etc/coraza-spoa/rules/*.conf
    transaction_ttl: 30000
    transaction_active_limit: 500
    log_level: error
    log_file: /var/log/coraza.log
"""

B2 = """\
bind: 127.0.0.1:9000
default_application: shop
applications:
  shop:
    rules:
      - SecRuleEngine On
      - SecRule ARGS "@rx x" "id:1,phase:1,deny"
    transaction_ttl_seconds: 90
"""

B3 = """\
# as haproxy-ingress deploys it
bind: :12345
default_application: default_app
applications:
  default_app:
    directives: |
      SecRuleEngine On
      SecRule ARGS "@rx x" "id:1,phase:1,deny"
    no_response_check: true
    transaction_ttl_ms: 5000
    transaction_active_limit: 7
    log_level: warning
    log_file: /dev/stderr
  other:
    directives: SecRuleEngine Off
"""


def _application(keys: str, generation: str | None = None) -> Config:
    config = parse_config(f"bind: :1\napplications: {{a: {{{keys}}}}}\n", "c.yaml")
    assert generation in (None, config.generation)
    return config


def _faults(text: str) -> list[tuple[str, int, int]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    return [(fault.code, fault.span.line, fault.span.column) for fault in caught.value.diagnostics]


def _warnings(config: Config) -> list[str]:
    return [fault.code for fault in config.warnings]


def test_the_map_with_files():
    config = parse_config(B1, "c.yaml")

    assert (config.generation, config.binds) == ("B1", (TcpBind("0.0.0.0", 9000),))
    (application,) = config.applications
    assert (application.name, str(application.where), config.default_application) == ("shop", "c.yaml:3:3", None)
    assert [name for name, _ in application.include] == [
        "/etc/coraza-spoa/coraza.conf",
        "/etc/coraza-spoa/rules/*.conf",
    ]
    assert str(application.include[1][1]) == "c.yaml:6:9"
    assert (application.directives, application.response_check) == ("", True)
    assert (application.ttl, application.active_limit) == (30.0, 500)
    assert (application.log.level, application.log.sinks) == (LEVELS["error"], (Sink("/var/log/coraza.log", "json"),))
    assert config.warnings == ()


def test_the_map_with_rules():
    config = parse_config(B2, "c.yaml")

    assert (config.generation, config.default_application) == ("B2", "shop")
    (application,) = config.applications
    assert application.directives == 'SecRuleEngine On\nSecRule ARGS "@rx x" "id:1,phase:1,deny"\n'
    assert str(application.directives_at) == "c.yaml:6:9"
    assert (application.ttl, application.active_limit) == (90.0, 100_000)
    assert (application.log.level, application.log.sinks) == (LEVELS["warn"], (Sink("/dev/stdout", "json"),))
    assert config.warnings == ()


def test_the_map_with_directives():
    config = parse_config(B3, "c.yaml")

    assert (config.generation, config.default_application) == ("B3", "default_app")
    first, second = config.applications
    assert first.directives == 'SecRuleEngine On\nSecRule ARGS "@rx x" "id:1,phase:1,deny"\n'
    assert str(first.directives_at) == "c.yaml:7:7"
    assert (first.response_check, first.ttl, first.active_limit) == (False, 5.0, 7)
    assert (first.log.level, first.log.sinks) == (LEVELS["warn"], (Sink("/dev/stderr", "json"),))
    assert (second.name, second.response_check, second.directives) == ("other", True, "SecRuleEngine Off\n")
    assert (first.says_allow, second.says_allow) == (True, True)
    assert config.warnings == ()


@pytest.mark.parametrize("text", [B2, B3])
def test_their_rules_run(text: str):
    assert {rules.waf.plan.ids for rules in load_rule_sets(parse_config(text)).values()} >= {(1,)}


def test_files_come_before_directives_and_these_before_rules(tmp_path: Path):
    file = tmp_path / "a file.conf"
    file.write_text('SecAction "id:1,phase:1"\n')
    config = _application(f"include: ['{file}'], directives: 'SecAction \"id:2,phase:1\"', rules: ['SecRuleEngine On']")

    (application,) = config.applications
    assert application.include == ()
    assert application.directives.split("\n")[1:] == ['SecAction "id:2,phase:1"', "SecRuleEngine On", ""]
    assert application.directives_at is None
    assert load_rule_sets(config)["a"].waf.plan.ids == (1, 2)


def test_a_fault_in_rules_is_shown_where_the_rule_stands():
    with pytest.raises(ConfigError) as caught:
        load_rule_sets(parse_config(B2.replace("deny", "dney"), "c.yaml"))

    (fault,) = caught.value.diagnostics
    assert (fault.span.file, fault.span.line) == ("c.yaml", 7)
    assert fault.source_line == '        SecRule ARGS "@rx x" "id:1,phase:1,dney"'


@pytest.mark.parametrize("rules", ["['x', 'y']", "[x, y]", "\n    - x\n\n    - y", "\n    - x\n    - |\n      y"])
def test_no_place_is_claimed_for_rules_that_do_not_stand_one_below_the_other(rules: str):
    config = parse_config(f"bind: :1\napplications:\n  a:\n    rules: {rules}\n")

    assert (config.applications[0].directives, config.applications[0].directives_at) == ("x\ny\n", None)


@pytest.mark.parametrize(
    ("keys", "seconds", "warnings"),
    [
        ("", 60.0, []),
        ("transaction_ttl: 60000", 60.0, []),
        ("transaction_ttl: 1000", 1.0, []),
        ("transaction_ttl: 60", 60.0, ["short-ttl"]),
        ("transaction_ttl: 999", 999.0, ["short-ttl"]),
        ("transaction_ttl: 0", 60.0, []),
        ("transaction_ttl_seconds: 60", 60.0, []),
        ("transaction_ttl_seconds: 0", 60.0, []),
        ("transaction_ttl_ms: 2500", 2.5, []),
        ("transaction_ttl_ms: 60", 0.06, ["short-ttl"]),
        ("transaction_ttl_ms: 0", 60.0, []),
        ("transaction_ttl_seconds: 9, transaction_ttl_ms: 2500", 2.5, ["set-twice"]),
        ("transaction_ttl_seconds: 9, transaction_ttl: 2500", 9.0, ["set-twice"]),
    ],
)
def test_the_three_units_of_the_time_to_live(keys: str, seconds: float, warnings: list[str]):
    config = _application(f"directives: x, {keys}" if keys else "directives: x")

    assert config.applications[0].ttl == seconds
    assert _warnings(config) == warnings


@pytest.mark.parametrize(
    "key", ["transaction_ttl", "transaction_ttl_ms", "transaction_ttl_seconds", "transaction_active_limit"]
)
@pytest.mark.parametrize(("value", "code"), [("-1", "out-of-range"), ("soon", "wrong-type"), ("[1]", "wrong-type")])
def test_numbers_below_zero_and_no_numbers_are_faults(key: str, value: str, code: str):
    text = f"bind: :1\napplications:\n  a:\n    directives: x\n    {key}: {value}\n"

    assert _faults(text) == [(code, 5, len(key) + 7)]


def test_a_limit_of_zero_is_the_default():
    assert _application("directives: x, transaction_active_limit: 0").applications[0].active_limit == 100_000


@pytest.mark.parametrize(
    ("word", "level", "warnings"),
    [
        ("debug", "debug", []),
        ("WARN", "warn", []),
        ("dpanic", "panic", []),
        ("''", "info", []),
        ("null", "warn", []),
        ("loud", "info", ["bad-value"]),
    ],
)
def test_levels_that_there_are_not_mean_info(word: str, level: str, warnings: list[str]):
    config = _application(f"directives: x, log_level: {word}")

    assert config.applications[0].log.level == LEVELS[level]
    assert _warnings(config) == warnings


def test_keys_that_are_not_known_are_ignored_with_a_warning():
    config = parse_config(
        "bind: :1\nlog_level: x\napplications:\n  a: {directives: x, response_check: true}\n", "c.yaml"
    )

    assert sorted(str(fault.span) for fault in config.warnings) == ["c.yaml:2:1", "c.yaml:4:22"]
    assert _warnings(config) == ["unknown-key"] * 2
    assert any("did you mean 'no_response_check'" in fault.hint for fault in config.warnings)


def test_all_faults_at_once_in_the_order_of_the_file():
    text = """\
bind: localhost
default_application: nobody
applications:
  a:
    directives: [x]
    include: {x: 1}
    no_response_check: perhaps
  a: {directives: y}
  b: 5
  "": {directives: z}
  c:
    log_level: []
    log_file: []
"""

    assert _faults(text) == [
        ("bad-address", 1, 7),
        ("unknown-name", 2, 22),
        ("wrong-type", 5, 17),
        ("wrong-type", 6, 14),
        ("wrong-type", 7, 24),
        ("duplicate-key", 8, 3),
        ("wrong-type", 9, 6),
        ("no-name", 10, 3),
        ("wrong-type", 12, 16),
        ("wrong-type", 13, 15),
    ]


def test_an_empty_map_is_a_warning():
    assert _warnings(parse_config("bind: :1\napplications: {}\n")) == ["no-applications"]


def test_an_application_with_nothing_in_it_is_a_warning():
    config = parse_config("bind: :1\napplications:\n  a:\n")

    assert _warnings(config) == ["no-rules"]
    assert config.applications[0].ttl == 60.0


@pytest.mark.parametrize(
    ("keys", "generation"),
    [
        ("include: [x]", "B1"),
        ("include: [x], directives: y", "B1"),
        ("rules: [x]", "B2"),
        ("rules: [x], directives: y", "B3"),
        ("rules: [x], no_response_check: true", "B3"),
        ("directives: x", "B3"),
    ],
)
def test_the_keys_tell_the_generation(keys: str, generation: str):
    assert _application(keys).generation == generation


def test_shared_settings_by_anchor():
    text = "bind: :1\napplications:\n  a: &a {directives: x, no_response_check: yes}\n  b: {<<: *a, directives: y}\n"
    config = parse_config(text)

    assert [(each.name, each.directives, each.response_check) for each in config.applications] == [
        ("a", "x\n", False),
        ("b", "y\n", False),
    ]


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


# SecLang has no way to write a backslash before a quotation mark.
@given(NAMES.filter(lambda name: name.strip() and '\\"' not in f'{name}"'))
def test_an_include_line_names_its_file(name: str):
    (node,), diagnostics = parse_source(SourceFile("x.conf", include_line(name) + "\n"))

    assert diagnostics == ()
    assert isinstance(node, Directive)
    assert [argument.text for argument in node.arguments] == [name]


KEYS = {
    "include": st.lists(st.sampled_from(["/x.conf", "", "@baseline/*.conf"]), max_size=2),
    "rules": st.lists(st.sampled_from(["SecRuleEngine On", "x\ny", ""]), max_size=2),
    "directives": st.sampled_from(["SecRuleEngine On", "", "a\nb\n"]),
    "no_response_check": st.sampled_from([True, False, "yes", "maybe"]),
    "transaction_ttl": st.integers(-2, 100_000),
    "transaction_ttl_ms": st.integers(-2, 100_000),
    "transaction_ttl_seconds": st.integers(-2, 100),
    "transaction_active_limit": st.integers(-2, 100),
    "log_level": st.sampled_from(["info", "", "loud", 5]),
    "log_file": st.sampled_from(["/dev/null", "", None]),
    "other": st.integers(),
}
MAPS = st.fixed_dictionaries(
    {
        "bind": st.sampled_from([":1", "localhost", ""]),
        "applications": st.dictionaries(
            st.sampled_from(["a", "b", ""]), st.fixed_dictionaries({}, optional=KEYS), max_size=3
        ),
    },
    optional={"default_application": st.sampled_from(["a", "z"])},
)


@given(MAPS)
def test_any_map_is_a_configuration_or_a_list_of_faults(tree: dict[str, object]):
    try:
        config = parse_config(yaml.safe_dump(tree), "c.yaml")
    except ConfigError as error:
        faults = error.diagnostics
    else:
        faults = config.warnings
        assert config.generation in ("B1", "B2", "B3")
        assert all(each.ttl > 0 and each.active_limit > 0 for each in config.applications)
        assert not any(each.include and each.directives for each in config.applications)

    assert all(fault.span.file == "c.yaml" and fault.span.line >= 1 for fault in faults)
