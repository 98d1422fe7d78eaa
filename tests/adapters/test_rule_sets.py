from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from adapters.config import ConfigError, parse_config
from adapters.rule_sets import load_all, load_rule_sets
from waf_engine import WAF
from waf_engine.diagnostics import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapters.rule_sets import RuleSet


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


def test_the_end_of_a_text_does_not_make_it_another(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("SecRuleEngine On\n")
    include = f"include: ['{tmp_path}/a.conf']"
    rule = 'SecAction "id:1,phase:1,pass"'
    blocks = (
        f"a: {{directives: '{rule}'}}\n  b:\n    directives: |\n      {rule}\n  c:\n    directives: |-\n      {rule}\n"
    )
    files = f"  d: {{{include}}}\n  e: {{{include}, log_level: debug}}\n"
    rules = load_rule_sets(parse_config(f"bind: :1\napplications:\n  {blocks}{files}"))

    assert len({id(rules[name].waf) for name in "abc"}) == 1
    assert rules["d"].waf is rules["e"].waf
    assert rules["d"].waf.plan is not rules["a"].waf.plan


def test_many_applications_with_the_same_rules_cost_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """coraza-spoa keeps a copy of the engine for each."""

    def load(count: int) -> int:
        applications = "".join(f"- {{name: a{number}, directives: *rules}}\n" for number in range(1, count))
        first = f"- name: a0\n  directives: &rules |\n{rules}"
        config = parse_config(f"bind: :1\napplications:\n{first}{applications}")
        before = tracemalloc.get_traced_memory()[0]
        kept.append(load_rule_sets(config, executor="reference"))
        assert len(kept[-1]) == count
        return tracemalloc.get_traced_memory()[0] - before

    rules = "".join(f'    SecRule ARGS|FILES "@contains {number}" "id:{number},phase:2"\n' for number in range(1, 200))
    kept: list[dict[str, RuleSet]] = []
    compiled: list[str] = []
    compiling = WAF.from_directives

    def count_compilations(text: str, **options: Any) -> WAF:
        compiled.append(text)
        return compiling(text, **options)

    monkeypatch.setattr(WAF, "from_directives", count_compilations)
    load(1)  # what is made once in a process, such as caches of names
    tracemalloc.start()
    try:
        one, many = load(1), load(100)
    finally:
        tracemalloc.stop()

    assert len(compiled) == 3
    assert many < one * 1.2


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


def test_files_that_cannot_be_used_come_with_the_faults_of_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    tls = f"listen: [{{bind: ':1', tls: {{certificate: {tmp_path}/none.pem}}}}]"
    rules = "directives: SecNonsense"
    path.write_text(f"{tls}\ncache_folder: {path}\napplications: [{{name: a, block_page: none.html, {rules}}}]\n")
    with pytest.raises(ConfigError) as caught:
        load_all(path)

    assert [fault.code for fault in caught.value.diagnostics] == [
        "tls",
        "cache-folder",
        "block-page",
        "unknown-directive",
    ]
    path.write_text(f"bind: :1\ncache_folder: {path}\napplications: [{{name: a, directives: SecRuleEngine On}}]\n")
    with pytest.raises(ConfigError) as caught:
        load_all(path)
    (fault,) = caught.value.diagnostics
    assert (str(fault.span), fault.message) == (f"{path}:2:15", f"cache_folder {path} is a file, not a folder")


WORDS = " ".join(f"word{number}" for number in range(200))


def test_compiled_patterns_are_kept_where_the_configuration_says(tmp_path: Path) -> None:
    rule = f'    SecRule ARGS "@pm {WORDS}" "id:1"'
    text = f"bind: :1\ncache_folder: {tmp_path}/cache\napplications:\n- name: a\n  directives: |\n{rule}\n"
    load_rule_sets(parse_config(text))

    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("background", "wanted"), [(None, False), (True, True), (False, False)])
def test_whether_rules_run_before_their_patterns_are_compiled(
    monkeypatch: pytest.MonkeyPatch, background: bool | None, wanted: bool
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(WAF, "from_directives", _recording(seen, WAF.from_directives))
    text = "bind: :1\nserve_while_compiling: false\napplications: [{name: a, directives: SecRuleEngine On}]\n"
    load_rule_sets(parse_config(text), background=background)
    load_rule_sets(parse_config(text.replace("serve_while_compiling: false\n", "")), background=None)

    assert seen == [wanted, True]


def _recording(seen: list[bool], function: Callable[..., WAF]) -> Callable[..., WAF]:
    def record(text: str, **options: Any) -> WAF:
        seen.append(options["background"])
        return function(text, **options)

    return record


def test_load_all(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("bind: :1\napplications: [{name: a, directives: SecRuleEngine On}]\n")
    config, rule_sets = load_all(path)

    assert [each.name for each in config.applications] == list(rule_sets) == ["a"]
