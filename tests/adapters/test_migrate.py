from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.cli import main
from adapters.config import ConfigError, parse_config
from adapters.config_model import ApplicationConfig, Config
from adapters.migrate import meaning, migrate, render, rules_of
from adapters.rule_sets import load_rule_sets

if TYPE_CHECKING:
    from pathlib import Path

OLD = {
    "A": "log: {level: debug, dir: /var/log/x}\nspoa: {bind: '0.0.0.0:9000', include: [/a.conf, '/b c/*.conf'], "
    "transaction_ttl: 30000, transaction_active_limit: 5}\n",
    "B1": "bind: :1\napplications:\n  a: {include: [/a.conf], transaction_ttl: 60, log_level: error, log_file: /x}\n",
    "B2": "bind: unix@/run/x mode 660\ndefault_application: a\nplugins: false\n"
    "applications:\n  a: {rules: [SecRuleEngine On, x], transaction_ttl_seconds: 5}\n  b: {rules: [y]}\n",
    "B3": "bind: '[::]:1'\napplications:\n  a:\n    directives: |\n      SecRuleEngine On\n\n        # indented\n"
    "      x\n    no_response_check: true\n    transaction_ttl_ms: 1500\n    transaction_active_limit: 7\n",
}


@pytest.mark.parametrize("generation", OLD)
def test_the_new_form_means_the_same(generation: str):
    old = parse_config(OLD[generation])
    new = parse_config(migrate(OLD[generation]))

    # Rotation of logs, which A always did, and plugins are ours; the others have only what coraza-spoa knows.
    assert (old.generation, new.generation) == (generation, "ours" if generation in ("A", "B2") else "C")
    assert meaning(new) == meaning(old)
    assert [fault.code for fault in new.warnings] == []


def test_the_new_form_to_the_letter():
    text = "bind: :1\ndefault_application: a b\nspeed: 5\napplications:\n  a b:\n    include: ['/x y.conf']\n"
    new = migrate(text + "    directives: x\n    no_response_check: true\n    transaction_ttl: 60\n", "old.yaml")
    comments, _, rest = new.partition("\n\n")

    assert comments.startswith("# From 'old.yaml': the map of applications of coraza-spoa, 2022, with `include`.\n")
    assert "# - left out: line 3 of the old file: 'speed' is not a key of the top of the file" in comments
    assert "# - line 9 of the old file: transaction_ttl is 60: taken as seconds" in comments
    assert all(line.startswith("#") for line in comments.split("\n"))
    assert max(map(len, comments.split("\n"))) <= 120
    assert rest == (
        "bind: :1\nlog_level: info\nlog_file: /dev/stdout\nlog_format: json\ndefault_application: a b\n"
        'applications:\n  - name: a b\n    directives: |\n      Include "/x y.conf"\n      x\n'
        "    response_check: false\n    transaction_ttl_ms: 60000\n    transaction_active_limit: 100000\n"
        "    log_level: warn\n    log_file: /dev/stdout\n    log_format: json\n"
    )


def test_of_the_flat_form_the_two_logs_are_one():
    new = parse_config(migrate(OLD["A"]))

    assert [(sink.path, sink.make_folder) for sink in new.log.sinks] == [("/var/log/x/server.log", True)]
    assert (new.applications[0].name, new.default_application) == ("default", "default")
    assert rules_of(new.applications[0]) == 'Include /a.conf\nInclude "/b c/*.conf"\n'


def test_the_rules_are_the_same(tmp_path: Path):
    (tmp_path / "a.conf").write_text('SecAction "id:1,phase:1"\n')
    (tmp_path / "b c.conf").write_text('SecAction "id:2,phase:1"\n')
    old = f"spoa: {{bind: ':1', include: ['{tmp_path}/a.conf', '{tmp_path}/b c.conf']}}\n"

    for text in (old, migrate(old)):
        assert load_rule_sets(parse_config(text))["default"].waf.plan.ids == (1, 2)


def test_the_embedded_rules_are_named():
    new = parse_config(migrate("spoa: {bind: ':1'}\n"))

    assert rules_of(new.applications[0]) == "Include @recommended.conf\nInclude @baseline/*.conf\n"


def test_the_current_form_stays_as_it_is():
    text = "# mine\nbind: :1\napplications: [{name: a, directives: x}]\n"

    assert migrate(text) == text


OURS = """\
listen:
  - 127.0.0.1:9000
  - bind: "unix@/run/x y"
    mode: 0660
    group: haproxy
  - bind: "[::]:9443"
    tls: {certificate: a.pem, key: "k: y.pem", client_ca: ca.pem}
log_level: warn
workers: 3
autoreload: true
drain_timeout_ms: 1500
metrics: 127.0.0.1:9100
cache_folder: /var/cache/x
serve_while_compiling: false
plugins: false
shared: {url: "redis://:p%20w@h:1/2", timeout_ms: 7, prefix: "a#:"}
log_rotation: {size_mb: 1, keep: 0, days: 5, compress: false}
default_application: a
applications:
  - name: a
    directives: SecRuleEngine On
    hosts: ["*.example.com", "[::1]"]
    transaction_active_bytes: 1048576
    detect_only: true
    trusted_proxies: [10.0.0.0/8, "::1"]
    client_address_header: X-Real-IP
    skip: {paths: [/static/*, "/**.png"], content_types: ["image/*"]}
    budget_ms: 2.5
    log_level: debug
  - name: b
    directives: x
    block_page: "a b.html"
    skip: {content_types: [text/css]}
    budget_ms: 50
    budget_action: error
"""


def test_our_own_keys_are_written_as_they_are_read():
    config = parse_config(OURS)
    new = parse_config(render(config))

    assert meaning(new) == meaning(config)
    assert (config.generation, new.generation) == ("ours", "ours")
    assert config.shared is not None
    assert new.shared == replace(config.shared, where=new.shared.where if new.shared else config.shared.where)
    assert migrate(OURS) == OURS


def test_only_what_is_needed_is_written():
    text = "bind: :1\nlog_level: info\nlog_file: /dev/stdout\nlog_format: console\napplications: []\n"

    assert render(parse_config(text)).partition("\n\n")[2] == text


@pytest.mark.parametrize("field", sorted({field.name for field in fields(Config)} - {"path", "generation", "warnings"}))
def test_no_setting_of_the_process_is_forgotten(field: str):
    """Whatever differs from the default differs in its meaning, or migrate could lose it."""
    plain, ours = parse_config("bind: :1\n"), parse_config(OURS)
    if field.endswith("_at"):  # a position
        return

    assert meaning(replace(plain, **{field: getattr(ours, field)})) != meaning(plain)


def test_no_setting_of_an_application_is_forgotten():
    config = parse_config(OURS)
    plain = parse_config("bind: :1\napplications: [{name: c, directives: y}]\n")
    (application,) = plain.applications
    same = []
    for field in fields(ApplicationConfig):
        for other in config.applications:
            if getattr(other, field.name) != getattr(application, field.name):
                changed = replace(
                    plain, applications=(replace(application, **{field.name: getattr(other, field.name)}),)
                )
                same += [field.name] if meaning(changed) == meaning(plain) else []

    assert {name for name in same if name not in ("where", "directives_at", "block_page_at")} == set()


def test_without_applications():
    assert parse_config(migrate("bind: :1\napplications: {}\n")).applications == ()


def test_a_faulty_file_is_not_migrated():
    with pytest.raises(ConfigError, match="transaction_ttl must be a whole number"):
        migrate("spoa: {bind: ':1', transaction_ttl: soon}\n")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old, new, bad = tmp_path / "old.yaml", tmp_path / "new.yaml", tmp_path / "bad.yaml"
    old.write_text(OLD["B3"])
    bad.write_text("bind: localhost\n")

    assert main(["migrate", str(old)]) == 0
    new.write_text(capsys.readouterr().out)
    assert meaning(parse_config(new.read_text())) == meaning(parse_config(OLD["B3"]))
    assert main(["migrate", str(new)]) == 0
    assert capsys.readouterr().out == "# 'new.yaml' has the current form: nothing was changed.\n" + new.read_text()
    assert main(["migrate", str(bad)]) == 1
    assert capsys.readouterr().err.startswith(f"{bad}:1:7: error: bind: 'localhost' has no port")
    assert main(["migrate", str(tmp_path / "none.yaml")]) == 1


# Everything that YAML can hold: quoting, white space at either end, line separators, what looks like another type.
TEXTS = st.one_of(
    st.sampled_from(
        ["5", "yes", "null", "~", "a: b", "- a", "# a", "@a", " a", "a ", "\ta", "a\n\n", "\u2028", "{", "'"]
    ),
    st.text(max_size=12),
)
RULES = st.lists(TEXTS, max_size=4).map("\n".join)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "transaction_active_limit": st.integers(1, 1000),
    "transaction_ttl": st.integers(1, 100_000),
}
APPLICATION = COMMON | {
    "include": st.lists(TEXTS.filter(bool), max_size=3),
    "rules": st.lists(RULES.filter(bool), max_size=3),
    "directives": RULES,
    "no_response_check": st.booleans(),
    "transaction_ttl_ms": st.integers(0, 100_000),
    "transaction_ttl_seconds": st.integers(0, 100),
    "log_level": st.sampled_from(["debug", "WARN", "panic", "disabled", "loud", ""]),
    "log_file": TEXTS,
    "other": TEXTS,
}
BINDS = st.sampled_from([":1", "*:1", "[::1]:5", "tcp://h:1", "unix:///r/x y", "unix@@x", "systemd", "systemd:a"])
FLAT = st.fixed_dictionaries(
    {"spoa": st.fixed_dictionaries({"bind": BINDS}, optional=COMMON | {"include": APPLICATION["include"]})},
    optional={
        "log": st.fixed_dictionaries({}, optional={"level": st.sampled_from(["info", "trace"]), "dir": TEXTS}),
        "plugins": st.booleans(),
        "other": TEXTS,
    },
)
MAPS = st.dictionaries(
    TEXTS.filter(bool), st.fixed_dictionaries({}, optional=APPLICATION), min_size=1, max_size=3
).flatmap(
    lambda applications: st.fixed_dictionaries(
        {"bind": BINDS, "applications": st.just(applications)},
        optional={"default_application": st.sampled_from(sorted(applications)), "plugins": st.booleans()},
    )
)


@settings(max_examples=60)
@given(st.one_of(FLAT, MAPS))
def test_whatever_is_valid_is_migrated_and_means_the_same(tree: dict[str, object]):
    text = yaml.safe_dump(tree, allow_unicode=True)
    old = parse_config(text)
    new = parse_config(migrate(text))

    assert new.generation in ("C", "ours")
    assert meaning(new) == meaning(old)
