"""The tests mirror the sources one to one, and the family lists their folders."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("spop_proto", "waf_engine", "adapters")

NO_TEST_OF_THEIR_OWN = {
    "waf_engine/types.py": "types and protocols; the families that use them are tested",
    "waf_engine/seclang/ast.py": "data without behaviour; made and compared by the parser's and unparser's tests",
    "adapters/__main__.py": "one line that calls the command line",
}
"""Source: why it needs no test file."""

MORE_TESTS = {
    "tests/waf_engine/test_crs.py": "the OWASP CRS on the whole engine",
    "tests/waf_engine/test_profiles.py": "Coraza's profiles on the whole engine",
    "tests/waf_engine/operators/test_coraza_cases.py": "Coraza's cases for all operators",
    "tests/waf_engine/transformations/test_coraza_cases.py": "Coraza's cases for all transformations",
    "tests/waf_engine/transformations/test_libmodsecurity.py": "libmodsecurity beside all transformations",
    "tests/waf_engine/test_equality.py": "the plan beside the reference on the OWASP CRS",
    "tests/waf_engine/test_memory.py": "what many transactions leave behind",
    "tests/waf_engine/test_fuzz_targets.py": "runs the fuzz targets over their corpora",
    "tests/waf_engine/test_choices.py": "the choices of docs/seclang.md on the whole engine",
    "tests/waf_engine/test_seclang_reference.py": "docs/seclang.md beside the table of choices",
    "tests/waf_engine/test_differential.py": "libmodsecurity beside the whole engine",
    "tests/waf_engine/runtime/test_match_modsecurity.py": "libmodsecurity beside its form of the log line",
    "tests/waf_engine/rules/test_baseline.py": "the embedded rules, which are no Python",
    "tests/spop_proto/test_fuzz_targets.py": "runs the fuzz targets over their corpora",
    "tests/spop_proto/test_captures.py": "real byte streams on the whole protocol",
    "tests/adapters/test_haproxy.py": "the agent behind a real HAProxy",
    "tests/adapters/test_haproxy_metrics.py": "what /metrics says after requests through a real HAProxy",
    "tests/contrib/test_prometheus.py": "alert rules, scrape configuration and the dashboard of Grafana",
    "tests/adapters/test_haproxy_applications.py": "what applications can be set to do, behind a real HAProxy",
    "tests/adapters/test_haproxy_listeners.py": "listeners of every kind, behind a real HAProxy",
    "tests/adapters/test_generations.py": "every generation of the configuration, behind a real HAProxy",
    "tests/adapters/test_reload.py": "reloads of a running agent",
    "tests/adapters/test_sharing.py": "agents that share, behind a real HAProxy",
    "tests/adapters/test_processes.py": "the agent of several processes behind a real HAProxy with many clients",
    "tests/adapters/test_load.py": "each loop behind a real HAProxy with many clients",
    "tests/test_build.py": "hatch_build.py, which compiles and is no part of a package",
    "tests/test_benchmarks.py": "the benchmarks, which are scripts",
    "tests/contrib/test_systemd.py": "the units of contrib/systemd, which are no Python",
    "tests/contrib/test_logrotate.py": "contrib/logrotate, which is no Python",
    "tests/docs/test_commands.py": "the command lines of all pages",
    "tests/docs/test_links.py": "links between the pages",
    "tests/test_demo.py": "the demo, which is a script",
    "tests/test_layout.py": "this file",
    "tests/test_public_api.py": "the public names of the packages",
}
"""Test file: what it tests, where that is not one source file."""

FAMILY_PACKAGES = ("actions", "bodies", "directives", "operators", "transformations", "variables")


def has_code(path: Path) -> bool:
    """Whether a module has anything to be tested: imports, constants and empty registries are not."""
    body = ast.parse(path.read_text("utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for node in body)


def names_of_test(source: Path) -> set[str]:
    """The names that the test file of a source may have."""
    folder = "tests/" + source.parent.as_posix()
    names = {f"test_{source.stem}.py"}
    if source.stem == "__init__":
        names.add("test_init.py")
    return {f"{folder}/{name}" for name in names}


SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("source", [path.as_posix() for path in SOURCES])
def test_each_source_has_its_test(source: str):
    path = Path(source)
    exempt = source in NO_TEST_OF_THEIR_OWN or not has_code(ROOT / path)

    assert exempt or names_of_test(path) & TESTS, f"expected {' or '.join(sorted(names_of_test(path)))}"


def test_no_test_is_an_orphan():
    wanted = {name for source in SOURCES for name in names_of_test(source)}
    pages = {f"tests/docs/test_{page.stem.replace('-', '_')}.py" for page in (ROOT / "docs").glob("*.md")}

    assert sorted(TESTS - wanted - pages - set(MORE_TESTS)) == []


def test_the_tables_name_files_that_exist():
    assert [name for name in (*NO_TEST_OF_THEIR_OWN, *MORE_TESTS) if not (ROOT / name).is_file()] == []
    assert [name for name in NO_TEST_OF_THEIR_OWN if names_of_test(Path(name)) & TESTS] == []


@pytest.mark.parametrize("package", FAMILY_PACKAGES)
def test_each_family_list_is_its_folder(package: str):
    module = importlib.import_module(f"waf_engine.{package}")
    families = {family.__name__.rpartition(".")[2] for family in module.FAMILIES}
    files = {path.stem for path in (ROOT / "waf_engine" / package).glob("*.py")}
    others = {name for name in files if name.startswith("_") or name == "registry"}

    assert files == families | set(getattr(module, "HELPERS", ())) | others


@pytest.mark.parametrize("source", [path.as_posix() for path in SOURCES])
def test_each_source_says_what_it_holds(source: str):
    assert ast.get_docstring(ast.parse((ROOT / source).read_text("utf-8")))
