from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from waf_engine import forms

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SHOW = "import shapes, shapes.inner.hot as hot; print(hot.SIDES, shapes.forms.is_compiled(), shapes.forms.form_name())"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with these forms and a module whose compiled one cannot be loaded: whoever tries it fails."""
    package = tmp_path / "shapes"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from shapes import forms as forms\n")
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "hot.py").write_text("SIDES = 4\n")
    (package / "inner" / f"hot{SUFFIX}").write_text("no shared object")
    shutil.copy(forms.__file__, package)
    stamp(package)
    return package


def stamp(package: Path, **changes: Any) -> None:
    path = "shapes/inner/hot.py"
    digest = hashlib.sha256((package.parent / path).read_bytes()).hexdigest()
    facts = {"suffix": SUFFIX, "error": "", "sources": {path: digest}} | changes
    (package / forms.STAMP).write_text(json.dumps(facts))


def run(package: Path, code: str = SHOW, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "SPOA_WAF_PURE"} | env
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=package.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_compiled_modules_are_used_while_their_sources_are_the_same(package: Path):
    assert "ImportError" in run(package).stderr


def test_without_a_stamp_as_in_a_wheel_they_are_used(package: Path):
    (package / forms.STAMP).unlink()

    assert "ImportError" in run(package).stderr


@pytest.mark.parametrize("value", ["1", "yes"])
def test_plain_python_can_be_asked_for(package: Path, value: str):
    done = run(package, SPOA_WAF_PURE=value)

    assert (done.stdout, done.stderr) == ("4 False plain Python\n", "")


@pytest.mark.parametrize("value", ["", "0"])
def test_and_is_not_asked_for_by_nothing(package: Path, value: str):
    assert "ImportError" in run(package, SPOA_WAF_PURE=value).stderr


def test_a_source_that_was_changed_is_used_and_that_is_said(package: Path):
    (package / "inner" / "hot.py").write_text("SIDES = 5\n")

    done = run(package)

    assert done.stdout == "5 False plain Python\n"
    assert done.stderr == (
        "shapes/inner/hot.py was changed since it was compiled: plain Python runs, only slower (./dev compile)\n"
    )


def test_a_source_that_is_gone_is_not_run(package: Path):
    (package / "inner" / "hot.py").unlink()

    done = run(package)

    assert "shapes/inner/hot.py was changed" in done.stderr
    assert "ModuleNotFoundError: No module named 'shapes.inner.hot'" in done.stderr


def test_of_several_sources_any_counts(package: Path):
    (package / "cold.py").write_text("A = 1\n")
    stamp(package, sources={"shapes/cold.py": hashlib.sha256(b"A = 2\n").hexdigest()})

    assert forms.changed_source(package) == "shapes/cold.py"


@pytest.mark.parametrize("changes", [{"error": "no"}, {"suffix": ".cpython-30-x86_64-linux-gnu.so"}])
def test_what_was_not_compiled_for_this_python_is_no_older_than_its_source(package: Path, changes: dict[str, str]):
    stamp(package, sources={"shapes/inner/hot.py": "another"})
    assert forms.changed_source(package)

    stamp(package, sources={"shapes/inner/hot.py": "another"}, **changes)
    assert forms.changed_source(package) == ""


def test_a_broken_stamp_is_one_that_differs(package: Path):
    (package / forms.STAMP).write_text("{")

    assert forms.changed_source(package) == f"shapes/{forms.STAMP}"


def test_other_packages_are_found_as_ever(package: Path):
    finder = forms.SourceFinder()

    assert finder.find_spec("json.decoder", ["/usr/lib/python3/json"]) is None
    assert finder.find_spec("waf_engine", None) is None
    (package / "data").mkdir()
    assert finder.find_spec("waf_engine.data", [str(package)]) is None
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'waf_engine.nothing'"):
        finder.find_spec("waf_engine.nothing", [str(package)])
    spec = finder.find_spec("waf_engine.hot", [str(package / "none"), str(package / "inner")])
    assert spec is not None
    assert spec.origin == str(package / "inner" / "hot.py")


def test_the_engine_runs_as_plain_python():
    code = (
        "import sys, waf_engine; from waf_engine import forms; "
        "waf_engine.WAF.from_directives('SecRuleEngine On').transaction().process_request_headers(); "
        "names = [m.__file__ for n, m in sys.modules.items() if n.startswith('waf_engine')]; "
        "print(forms.form_name(), len(names) > 50, [name for name in names if not name.endswith('.py')])"
    )

    done = run(Path(forms.__file__).parent, code, SPOA_WAF_PURE="1")

    assert (done.stdout, done.stderr) == ("plain Python True []\n", "")
