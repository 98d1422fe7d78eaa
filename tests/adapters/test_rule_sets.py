from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.config import ConfigError, parse_config
from adapters.rule_sets import load_all, load_rule_sets
from waf_engine.diagnostics import Severity

if TYPE_CHECKING:
    from pathlib import Path


def _faults(error: ConfigError) -> list[tuple[str, int, int, str]]:
    return [(fault.span.file, fault.span.line, fault.span.column, fault.code) for fault in error.diagnostics]


def test_directives_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('SecRule ARGS "@rx x" "id:1,phase:1,deny"\n')
    (tmp_path / "b.conf").write_text('SecRule ARGS "@rx y" "id:2,phase:1,deny"\n')
    flat = load_rule_sets(parse_config(f"spoa: {{bind: ':1', include: ['{tmp_path}/*.conf']}}\n"))
    text = f"bind: :1\napplications:\n- name: a\n  directives: |\n    SecRuleEngine On\n    Include {tmp_path}/a.conf\n"
    listed = load_rule_sets(parse_config(text))

    assert flat["default"].waf.plan.ids == (1, 2)
    assert listed["a"].waf.plan.ids == (1,)
    assert not flat["default"].embedded


def test_a_flat_file_without_include_has_the_embedded_rules() -> None:
    rules = load_rule_sets(parse_config("spoa: {bind: ':1'}\n"))["default"]

    assert rules.embedded
    assert rules.waf.plan.rule_count >= 40


def test_an_application_of_the_list_has_what_it_says() -> None:
    rules = load_rule_sets(parse_config("bind: :1\napplications: [{name: a, directives: SecRuleEngine On}]\n"))["a"]

    assert (rules.embedded, rules.waf.plan.rule_count) == (False, 0)


def test_equal_rules_are_compiled_once() -> None:
    one = "directives: 'SecAction \"id:1,phase:1,pass\"'"
    text = (
        f"bind: :1\napplications: [{{name: a, {one}}}, {{name: b, {one}}}, {{name: c, directives: SecRuleEngine On}}]\n"
    )
    rules = load_rule_sets(parse_config(text))

    assert rules["a"].waf is rules["b"].waf
    assert rules["a"].waf is not rules["c"].waf


def test_faults_of_all_applications_at_their_places_in_the_file() -> None:
    text = """\
bind: :1
applications:
  - name: a
    directives: |

      SecRule ARGS "@rx x" "id:1,phase:1,deny"
      SecNonsense On
  - name: b
    directives: |-
        SecRule ARGS "@nonsense x" "id:1,phase:1,deny"
  - name: c
    directives: "SecNonsense On"
"""
    with pytest.raises(ConfigError) as caught:
        load_rule_sets(parse_config(text, "c.yaml"))

    assert _faults(caught.value) == [
        ("c.yaml", 7, 7, "unknown-directive"),
        ("c.yaml", 10, 23, "unknown-operator"),
        ("c.yaml (directives of c)", 1, 1, "unknown-directive"),
    ]
    assert "\n          SecNonsense On\n          ^\n" in str(caught.value)


def test_missing_files_are_shown_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "spoa:\n  bind: :1\n  include:\n    - none.conf\n    - /none/*.conf\n"
    with pytest.raises(ConfigError) as caught:
        load_rule_sets(parse_config(text, "c.yaml"))

    assert _faults(caught.value) == [("c.yaml", 4, 7, "no-such-file"), ("c.yaml", 5, 7, "no-such-file")]
    assert str(tmp_path) in caught.value.diagnostics[0].hint
    assert "no file matches '/none/*.conf'" in str(caught.value)


def test_a_fault_in_a_file_is_shown_there(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text("SecRuleEngine On\nSecNonsense\n")
    with pytest.raises(ConfigError) as caught:
        load_rule_sets(parse_config(f"spoa: {{bind: ':1', include: ['{file}']}}\n"))

    assert _faults(caught.value) == [(str(file), 2, 1, "unknown-directive")]


def test_faults_of_configuration_and_rules_come_together(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("bind: nonsense\napplications: [{name: a, directives: SecNonsense}]\n")
    with pytest.raises(ConfigError) as caught:
        load_all(path)

    assert [fault.code for fault in caught.value.diagnostics] == ["bad-address", "unknown-directive"]
    assert all(fault.severity is Severity.ERROR for fault in caught.value.diagnostics)


def test_a_faulty_configuration_with_good_rules_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("bind: nonsense\napplications: [{name: a, directives: SecRuleEngine On}]\n")
    with pytest.raises(ConfigError) as caught:
        load_all(path)
    assert [fault.code for fault in caught.value.diagnostics] == ["bad-address"]

    path.write_text("bind: [\n")
    with pytest.raises(ConfigError) as caught:
        load_all(path)
    assert [fault.code for fault in caught.value.diagnostics] == ["yaml"]


def test_load_all(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("bind: :1\napplications: [{name: a, directives: SecRuleEngine On}]\n")
    config, rule_sets = load_all(path)

    assert [each.name for each in config.applications] == list(rule_sets) == ["a"]
