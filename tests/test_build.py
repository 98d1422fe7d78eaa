"""The compiled form: made of a small package, put in place, put into wheels; what happens where it cannot be made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import hatch_build
from hatch_build import COMPILED, STAMP, SUFFIX, CompileError, build, compile_in_place, sources_of, why_not
from waf_engine import forms

ROOT = Path(__file__).resolve().parent.parent
HERE = why_not()
"""Why nothing is compiled in this run of the tests."""
MODULES = ("shapes/area.py", "shapes/inner/sides.py")
CODE = f"shapes__mypyc{SUFFIX}"
SHARED = [CODE, f"shapes/area{SUFFIX}", f"shapes/inner/sides{SUFFIX}"]
FILES = {
    "shapes/__init__.py": "from shapes import forms as forms\nfrom shapes.area import area\n",
    "shapes/area.py": """
from __future__ import annotations

from typing import TYPE_CHECKING

import a_library_that_is_not_there as library
from shapes.inner import names
from shapes.inner.sides import Sides

if TYPE_CHECKING:
    import shapes.only_types
    from shapes import forms


def area(sides: Sides) -> int:
    \"\"\"The area.\"\"\"
    return sides.first * sides.second * names.FACTOR if library.YES else 0
""",
    "shapes/inner/__init__.py": "",
    "shapes/inner/names.py": "from typing import Final\n\nimport shapes.inner.farther\n\nFACTOR: Final = 2\n",
    "shapes/inner/farther.py": "",
    "shapes/inner/sides.py": """
class Sides:
    def __init__(self, first: int, second: int) -> None:
        self.first = first
        self.second = second
""",
    "shapes/only_types.py": "",
    "a_library_that_is_not_there.py": "YES = True\n",
    "pyproject.toml": """
[project]
name = "shapes"
version = "1"
requires-python = ">=3.11"
[tool.hatch.build]
dev-mode-dirs = ["."]
[tool.hatch.build.targets.wheel]
packages = ["shapes"]
exclude = ["*.so", "_compiled.json"]
[tool.hatch.build.targets.wheel.hooks.custom]
""",
}
SHOW = "import shapes; from shapes.inner.sides import Sides; print(shapes.area(Sides(3, 4)), shapes.forms.form_name())"


@pytest.fixture(autouse=True)
def _form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOA_WAF_PURE", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project that is built as ours is."""
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(forms.__file__, tmp_path / "project" / "shapes")
    table = f"COMPILED: Final[tuple[str, ...]] = {MODULES!r}\n"
    text = (ROOT / "hatch_build.py").read_text()
    text, count = re.subn(r"^COMPILED: .*?\)\n", table, text, flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    (tmp_path / "project" / "hatch_build.py").write_text(text)
    return tmp_path / "project"


@pytest.fixture
def _compiler() -> None:
    if reason := why_not():
        pytest.skip(reason)


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def wheel(project: Path, version: str = "standard") -> zipfile.ZipFile:
    """The wheel of a project, made in this process."""
    (path,) = WheelBuilder(str(project)).build(directory=str(project / "dist"), versions=[version])
    return zipfile.ZipFile(path)


def shared_objects(project: Path) -> list[str]:
    return sorted(path.relative_to(project).as_posix() for path in project.rglob("*.so"))


def test_the_table_names_modules():
    assert sorted(set(COMPILED)) == list(COMPILED)
    assert [path for path in COMPILED if not (ROOT / path).is_file() or not path.startswith("waf_engine/")] == []
    assert not {"waf_engine/__init__.py", "waf_engine/forms.py"} & set(COMPILED)


@pytest.mark.skipif(bool(HERE), reason=HERE)
def test_what_runs_here_is_made_of_these_sources():
    """`./dev test` compiles first; what mypyc refuses must not go unnoticed."""
    told: list[str] = []

    assert compile_in_place(ROOT, say=told.append), told
    assert forms.changed_source() == ""


def test_the_sources_are_what_the_modules_import_of_their_package(project: Path):
    assert sources_of(project, MODULES) == [
        "shapes/__init__.py",
        "shapes/area.py",
        "shapes/forms.py",
        "shapes/inner/__init__.py",
        "shapes/inner/names.py",
        "shapes/inner/sides.py",
        "shapes/only_types.py",
    ]


def test_why_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SPOA_WAF_PURE", "1")
    assert why_not() == "SPOA_WAF_PURE is set"
    monkeypatch.setenv("SPOA_WAF_PURE", "0")
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    assert why_not() == "there is no C compiler (no-such-compiler)"
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    assert why_not() == f"there is no {tmp_path}/include/Python.h"
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    assert why_not() == ""
    monkeypatch.setattr(hatch_build, "find_spec", lambda name: None if name == "mypyc" else name)
    assert why_not() == "mypy or setuptools is missing"


def test_where_nothing_can_be_compiled_nothing_is_touched(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPOA_WAF_PURE", "1")
    (project / f"shapes/area{SUFFIX}").touch()
    told: list[str] = []

    assert not compile_in_place(project, MODULES, say=told.append)
    assert told == ["not compiled: SPOA_WAF_PURE is set; plain Python runs, only slower"]
    assert shared_objects(project) == [f"shapes/area{SUFFIX}"]


@pytest.mark.slow
@pytest.mark.usefixtures("_compiler")
def test_compiling_in_place(project: Path):
    told: list[str] = []
    (project / "shapes/area.cpython-30-x86_64-linux-gnu.so").touch()  # of another Python, of other sources perhaps

    assert compile_in_place(project, MODULES, say=told.append)
    assert shared_objects(project) == sorted(SHARED)
    assert run(project, "-c", SHOW).stdout == "24 compiled\n"
    assert run(project, "-c", SHOW, SPOA_WAF_PURE="1").stdout == "24 plain Python\n"
    assert told == ["compiling the hot modules (half a minute) ..."]

    before = (project / CODE).stat()
    assert compile_in_place(project, MODULES, say=told.append)
    assert (len(told), (project / CODE).stat()) == (1, before)

    constants = project / "shapes/inner/names.py"  # imported only, but its value is in the code
    constants.write_text(constants.read_text().replace("2", "3"))
    done = run(project, "-c", SHOW)
    assert (done.stdout, done.stderr.count("\n")) == ("36 plain Python\n", 1)
    assert run(project, "hatch_build.py").stderr == told[0] + "\n"
    assert run(project, "-c", SHOW).stdout == "36 compiled\n"

    (project / CODE).unlink()
    assert compile_in_place(project, MODULES[1:], say=told.append)
    assert shared_objects(project) == [SHARED[2], CODE]


@pytest.mark.slow
@pytest.mark.usefixtures("_compiler")
def test_what_cannot_be_compiled_is_told_and_left_plain(project: Path):
    with (project / "shapes/area.py").open("a") as file:
        file.write("\n\nWRONG: int = 'text'\n")
    (project / CODE).touch()
    told: list[str] = []

    assert not compile_in_place(project, MODULES, say=told.append)
    assert shared_objects(project) == []
    assert "shapes/area.py:20: error: Incompatible types in assignment" in told[1]
    assert run(project, "-c", SHOW).stdout == "24 plain Python\n"

    assert not compile_in_place(project, MODULES, say=told.append)  # not again
    assert told[2].startswith("not compiled, as before: shapes/area.py:20: error")
    assert len(told) == 3

    with (project / "shapes/area.py").open("a") as file:
        file.write("\n\nASWELL: int = 'text'\n")
    done = run(project, "hatch_build.py", "--again")
    assert (done.returncode, len(re.findall(r"^shapes/area.py:2\d: error", done.stderr, re.MULTILINE))) == (1, 2)
    assert "not compiled: shapes/area.py:20: error" in done.stderr
    assert "(and 1 more); plain Python runs, only slower\n" in done.stderr


def test_a_compiler_that_fails_is_told(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(CompileError, match=r"^the compiler ended with status 1$"):
        build(project, MODULES, project / "target")


@pytest.mark.usefixtures("_compiler")
def test_sources_that_change_meanwhile_put_nothing_in_place(project: Path, monkeypatch: pytest.MonkeyPatch):
    def edit(root: Path, modules: tuple[str, ...], target: Path) -> list[str]:
        (root / modules[0]).write_text("")
        (target / CODE).touch()
        return [CODE]

    monkeypatch.setattr(hatch_build, "build", edit)
    told: list[str] = []

    assert not compile_in_place(project, MODULES, say=told.append)
    assert told[-1] == "a source was changed meanwhile: nothing is put in place; compile again"
    assert (shared_objects(project), (project / "shapes" / STAMP).exists()) == ([], False)


def test_a_plain_wheel(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("CC", "no-such-compiler")
    for name in SHARED:
        (project / name).touch()
    (project / "shapes" / STAMP).touch()

    with wheel(project) as made:
        assert Path(str(made.filename)).name == "shapes-1-py3-none-any.whl"
        assert [name for name in made.namelist() if not name.endswith(".py") and "dist-info" not in name] == []
    assert "no C compiler (no-such-compiler); the wheel is plain Python" in "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.usefixtures("_compiler")
def test_a_compiled_wheel(project: Path, tmp_path: Path):
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    with wheel(project) as made:
        assert re.fullmatch(rf"shapes-1-{tag}-{tag}-\w+\.whl", Path(str(made.filename)).name)
        assert sorted(name for name in made.namelist() if name.endswith((".so", ".json"))) == sorted(SHARED)
        assert "shapes/area.py" in made.namelist()
        made.extractall(tmp_path / "site")
    assert shared_objects(project) == []
    shutil.copy(project / "a_library_that_is_not_there.py", tmp_path / "site")

    assert run(tmp_path / "site", "-c", SHOW).stdout == "24 compiled\n"
    assert run(tmp_path / "site", "-c", SHOW, SPOA_WAF_PURE="1").stdout == "24 plain Python\n"


@pytest.mark.slow
@pytest.mark.usefixtures("_compiler")
def test_a_wheel_of_what_cannot_be_compiled_is_plain(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "shapes/inner/sides.py").write_text("class Sides(\n")

    with wheel(project) as made:
        assert Path(str(made.filename)).name == "shapes-1-py3-none-any.whl"
    assert "the wheel is plain Python" in "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.usefixtures("_compiler")
def test_an_editable_wheel_is_pure_and_compiles_in_place(project: Path):
    with wheel(project, "editable") as made:
        assert Path(str(made.filename)).name == "shapes-1-py3-none-any.whl"
        assert [name for name in made.namelist() if name.endswith(".so")] == []

    assert shared_objects(project) == sorted(SHARED)
    assert run(project, "-c", SHOW).stdout == "24 compiled\n"


def test_our_own_plain_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SPOA_WAF_PURE", "1")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])

    with zipfile.ZipFile(path) as made:
        names = made.namelist()
    assert path.endswith("-py3-none-any.whl")
    assert {"waf_engine/forms.py", "adapters/cli.py", "spop_proto/__init__.py"} < set(names)
    assert [name for name in names if name.endswith((".so", ".c")) or STAMP in name] == []
