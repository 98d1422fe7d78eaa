"""Plug-ins: entry points of installed packages, the example package among them; what is broken is named and refused."""

from __future__ import annotations

import importlib
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import waf_engine.plugins
from waf_engine import WAF, SecLangError
from waf_engine.plugins import GROUPS, PREFIX, Plugin, installed_plugins, load_plugins
from waf_engine.waf import default_registries

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin"

MODULE = """
from waf_engine.plugins import MATCHED, Action, ActionKind, AuditFormat, Value, Variable

def operator(argument, context):
    return lambda value, tx: MATCHED

def transformation(value):
    return b"turned"

def text(value):
    return "text"

def raises(value):
    raise RuntimeError("broken inside")

def processor(body, context):
    raise AssertionError

def directive(state, node):
    state.settings["web_app_id"] = "set by a plug-in"

def everything(registries):
    registries.operators.add(operator, "fromFunction")
    registries.transformations.add(transformation, "alsoFromFunction")

ACTION = Action("newAction", ActionKind.NON_DISRUPTIVE, Value.NONE, lambda draft, value, context: None)
VARIABLE = Variable("NEW_VARIABLE", lambda tx: [(b"", b"its value")], is_collection=False)
FORMAT = AuditFormat("NewFormat", "text/plain", lambda entry: b"")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package as pip does: a module and its dist-info in a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, entries: dict[str, dict[str, str]], module: str = MODULE, version: str = "1.0") -> None:
        (tmp_path / f"{name}.py").write_text(module)
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in pairs.items())
            for group, pairs in entries.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()

    return put


def _load() -> Any:
    return load_plugins(default_registries())


def test_without_plugins_the_registries_are_the_engines_own():
    registries = default_registries()

    assert load_plugins(registries, ()) is registries


def test_one_of_each_kind(install: Any):
    install(
        "kinds",
        {
            "spoa_waf.operators": {"newOperator": "kinds:operator"},
            "spoa_waf.transformations": {"newTransformation": "kinds:transformation"},
            "spoa_waf.actions": {"newAction": "kinds:ACTION"},
            "spoa_waf.variables": {"NEW_VARIABLE": "kinds:VARIABLE"},
            "spoa_waf.directives": {"SecNewDirective": "kinds:directive"},
            "spoa_waf.body_processors": {"NEWBODY": "kinds:processor"},
            "spoa_waf.audit_formats": {"NewFormat": "kinds:FORMAT"},
            "spoa_waf.audit_writers": {"NewWriter": "kinds:operator"},
            "spoa_waf.plugins": {"all": "kinds:everything"},
        },
    )
    before = default_registries()
    extended = _load()
    rules = """SecNewDirective
SecRule NEW_VARIABLE "@newOperator x" "id:1,phase:1,pass,log,newAction"
SecRule NEW_VARIABLE "@streq turned" "id:2,phase:1,pass,log,t:newTransformation"
SecRule NEW_VARIABLE "@fromFunction" "id:3,phase:1,pass,log,t:alsoFromFunction"
"""
    waf = WAF.from_directives(rules, registries=extended)
    tx = waf.transaction()
    tx.process_request_headers()

    assert [plugin.group for plugin in installed_plugins()] == list(GROUPS)
    assert [matched.rule_id for matched in tx.matched_rules] == [1, 2, 3]
    assert waf.plan.settings.web_app_id == "set by a plug-in"
    for name in ("body_processors", "audit_formats", "audit_writers"):
        assert len(getattr(extended, name)) == len(getattr(before, name)) + 1
    assert "newOperator" not in before.operators
    with pytest.raises(SecLangError):
        WAF.from_directives(rules)


@pytest.mark.parametrize(
    ("group", "name", "value", "reason"),
    [
        ("operators", "x", "absent_module:thing", "ModuleNotFoundError: No module named 'absent_module'"),
        ("operators", "x", "broken:absent", "AttributeError: module 'broken' has no attribute 'absent'"),
        ("operators", "x", "broken:ACTION", "it must be a function, not an object of Action"),
        ("operators", "rx", "broken:operator", "there is operator 'rx' already"),
        ("operators", "no good", "broken:operator", "a name has letters, digits and _, and begins with a letter"),
        ("transformations", "x", "broken:text", "a transformation takes bytes and gives bytes"),
        ("transformations", "x", "broken:raises", "RuntimeError: broken inside"),
        ("actions", "newAction", "broken:operator", "it must be an object of Action, not of function"),
        ("actions", "other", "broken:ACTION", "the Action calls itself 'newAction': both must be the same"),
        (
            "variables",
            "OTHER",
            "broken:VARIABLE",
            "the Variable calls itself 'NEW_VARIABLE': both must be the same",
        ),
        ("plugins", "x", "broken:raises", "RuntimeError: broken inside"),
        ("plugins", "x", "broken:MISSING", "AttributeError: module 'broken' has no attribute 'MISSING'"),
    ],
)
def test_a_broken_plugin_is_refused_with_its_package_and_the_reason(
    install: Any, group: str, name: str, value: str, reason: str
):
    install("broken", {PREFIX + group: {name: value}}, version="2.5")
    with pytest.raises(SecLangError) as caught:
        _load()
    (fault,) = caught.value.diagnostics

    assert fault.message.endswith(f": {reason}")
    assert fault.message.startswith("plug-in broken 2.5: ")
    assert (fault.code, fault.span.file) == ("broken-plugin", "plug-in broken 2.5")
    assert "uninstall broken" in fault.hint


def test_two_packages_that_add_the_same_name(install: Any):
    install("first", {"spoa_waf.operators": {"same": "first:operator"}})
    install("second", {"spoa_waf.operators": {"SAME": "second:operator"}})
    with pytest.raises(SecLangError) as caught:
        _load()

    assert [fault.message for fault in caught.value.diagnostics] == [
        "plug-in second 1.0: operator 'SAME' (second:operator): there is operator 'SAME' already by first 1.0"
    ]


def test_the_faults_of_all_packages_are_told(install: Any):
    install("first", {"spoa_waf.operators": {"a": "first:x", "b": "first:operator"}})
    install("second", {"spoa_waf.actions": {"c": "second:y"}})
    with pytest.raises(SecLangError) as caught:
        _load()

    assert len(caught.value.diagnostics) == 2


def test_every_public_name_exists():
    assert all(hasattr(waf_engine.plugins, name) for name in waf_engine.plugins.__all__)


def test_a_plugin_can_be_chosen_without_being_installed():
    entry = EntryPoint("x", "waf_engine.operators.text:nothing", "spoa_waf.operators")
    with pytest.raises(SecLangError, match="plug-in by hand: operator 'x'"):
        load_plugins(default_registries(), [Plugin("operators", "x", "by hand", entry)])


def _install_example(install: Any) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    module = (EXAMPLE / "example_waf_plugin.py").read_text()
    name = project["name"].replace("-", "_")

    assert list(project["entry-points"]) == [
        "spoa_waf.operators", "spoa_waf.transformations", "spoa_waf.variables", "spoa_waf.actions",
    ]  # fmt: skip
    install(name, project["entry-points"], module, project["version"])


def _run(waf: WAF, target: str, authorization: str = "") -> list[int]:
    tx = waf.transaction()
    tx.process_uri(target, "GET", "HTTP/1.1")
    if authorization:
        tx.add_request_header("Authorization", authorization)
    tx.process_request_headers()
    return [matched.rule_id for matched in tx.matched_rules]


@pytest.fixture
def example(install: Any) -> WAF:
    _install_example(install)
    return WAF.from_files([EXAMPLE / "example.conf"], registries=_load())


@pytest.mark.parametrize(
    ("target", "authorization", "expected"),
    [
        ("/", "", []),
        ("/", "Bearer eyJhbGciOiJOT05FIn0.eyJzdWIiOiIxMjM0In0.", [9000100]),
        ("/", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x", []),
        ("/", "Bearer !!!.W10.eyJhbGciOiJub25lIn0", []),
        ("/", "Bearer " + "A" * 9000, []),
        ("/?q=AKzX81qLmP0vRt7ybN4cWe93HsJdU6Gf", "", [9000110, 9000130]),
        ("/?q=passwords", "", []),
        ("/?q=1234password", "", [9000120, 9000130]),
        ("/?q=", "", []),
    ],
)
def test_the_example_package(example: WAF, target: str, authorization: str, expected: list[int]):
    assert _run(example, target, authorization) == expected


@pytest.mark.parametrize("argument", ["much", "9", "-1"])
def test_the_example_refuses_arguments_where_they_stand(install: Any, argument: str):
    _install_example(install)
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(f'SecRule ARGS "@entropyAbove {argument}" "id:1"', registries=_load())

    assert caught.value.errors[0].span.line == 1


def test_the_agent_uses_installed_plugins_unless_told_not_to(install: Any):
    from adapters.config import ConfigError, parse_config  # noqa: PLC0415  the one test that joins the two
    from adapters.rule_sets import load_rule_sets  # noqa: PLC0415

    _install_example(install)
    text = 'bind: :1\napplications: [{name: a, directives: \'SecRule ARGS "@entropyAbove 4" "id:1"\'}]\n'

    assert load_rule_sets(parse_config(text))["a"].waf.plan.ids == (1,)
    with pytest.raises(ConfigError, match="entropyAbove"):
        load_rule_sets(parse_config(text + "plugins: false\n"))


def test_a_broken_plugin_stops_the_agent_with_its_name(install: Any):
    from adapters.config import ConfigError, parse_config  # noqa: PLC0415
    from adapters.rule_sets import load_rule_sets  # noqa: PLC0415

    install("broken", {"spoa_waf.operators": {"x": "broken:absent"}})
    with pytest.raises(ConfigError, match=r"plug-in broken 1\.0: operator 'x'"):
        load_rule_sets(parse_config("spoa: {bind: ':1'}\n"))
    assert load_rule_sets(parse_config("spoa: {bind: ':1'}\nplugins: false\n"))


def test_the_tests_of_the_example_pass(install: Any, capsys: pytest.CaptureFixture[str]):
    """What its README says to call."""
    from adapters.cli import main  # noqa: PLC0415

    _install_example(install)
    arguments = ["test", str(EXAMPLE / "tests"), "--rules", str(EXAMPLE / "example.conf")]

    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("4 passed in ")
    assert main([*arguments, "--no-plugins"]) == 2
