"""The compiled form of the package: which modules mypyc compiles, how, and what an installation does of it.

    python hatch_build.py            compile in place, unless nothing has changed
    python hatch_build.py --again    compile in place in any case, tell all faults, exit status 1 (`./dev compile`)

The sources stay plain typed Python and stay the truth: without a C compiler, or with SPOA_WAF_PURE=1, the package works
as plain Python, and no installation fails for lack of the compiled form. `waf_engine/forms.py` decides at import which
of the two forms runs. Here: the table of compiled modules, compiling, the stamp that tells what was compiled, the build
hook. Not here: anything that runs in the agent. Nothing of the package is imported: its dependencies are not there in
an isolated build.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMPILED: Final[tuple[str, ...]] = (
    "waf_engine/actions/_assign.py",
    "waf_engine/bodies/cookies.py",
    "waf_engine/bodies/json_reader.py",
    "waf_engine/bodies/multipart.py",
    "waf_engine/bodies/parameters.py",
    "waf_engine/bodies/part_headers.py",
    "waf_engine/bodies/uri.py",
    "waf_engine/bodies/urlencoded.py",
    "waf_engine/compiler/key_patterns.py",
    "waf_engine/compiler/plan.py",
    "waf_engine/compiler/prechecks.py",
    "waf_engine/counters.py",
    "waf_engine/operators/_search.py",
    "waf_engine/runtime/body.py",
    "waf_engine/runtime/budget.py",
    "waf_engine/runtime/database.py",
    "waf_engine/runtime/evaluate.py",
    "waf_engine/runtime/exchange.py",
    "waf_engine/runtime/lanes.py",
    "waf_engine/runtime/macros.py",
    "waf_engine/runtime/planned.py",
    "waf_engine/runtime/reference.py",
    "waf_engine/runtime/replay.py",
    "waf_engine/runtime/scanner.py",
    "waf_engine/runtime/transaction.py",
    "waf_engine/transformations/comments.py",
    "waf_engine/transformations/encoding.py",
    "waf_engine/transformations/escapes.py",
    "waf_engine/transformations/path.py",
    "waf_engine/transformations/text.py",
    "waf_engine/transformations/whitespace.py",
    "waf_engine/types.py",
    "waf_engine/variables/args.py",
    "waf_engine/variables/connection.py",
    "waf_engine/variables/matched.py",
    "waf_engine/variables/registry.py",
    "waf_engine/variables/request.py",
    "waf_engine/variables/request_body.py",
    "waf_engine/variables/response.py",
    "waf_engine/variables/tx.py",
)
"""The modules that are compiled, all into one shared object. To add one is to add its path."""

STAMP: Final = "_compiled.json"
"""In the folder of the package: what was compiled (forms.py reads it)."""
SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))
# The same on all machines: the project's own strict check is `./dev check`, and what libraries are installed here is
# no matter (an isolated build has none).
MYPY_OPTIONS: Final = (
    "--config-file=",
    "--cache-dir=/dev/null",
    "--no-site-packages",
    "--ignore-missing-imports",
    "--follow-imports=silent",
    "--strict-bytes",
)


class CompileError(Exception):
    """mypyc or the C compiler refused the sources.

    Args:
        faults: what they said, at least one line.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(faults[0] + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""))
        self.faults = tuple(faults)


def why_not() -> str:
    """Why nothing can be compiled here; empty when all that is needed is there."""
    if os.environ.get("SPOA_WAF_PURE", "0") not in ("", "0"):
        return "SPOA_WAF_PURE is set"
    compiler = (os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")).split()[0]
    if not shutil.which(compiler):
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        return f"there is no {header}"
    if find_spec("mypyc") is None or find_spec("setuptools") is None:
        return "mypy or setuptools is missing"
    return ""


def sources_of(root: Path, modules: Sequence[str]) -> list[str]:
    """The sources that the compiled form depends on.

    Args:
        root: the folder of the project.
        modules: paths of the compiled modules, in it.

    Returns:
        The modules, and those of their package that they import: mypyc puts their constants into the code.
    """
    found = set(modules)
    package = _package(modules)
    for module in modules:
        for node in ast.walk(ast.parse((root / module).read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                if name.partition(".")[0] == package:
                    path = name.replace(".", "/")
                    found.update(file for file in (f"{path}.py", f"{path}/__init__.py") if (root / file).is_file())
    return sorted(found)


def build(root: Path, modules: Sequence[str], target: Path) -> list[str]:
    """Compile modules into a folder.

    Args:
        root: the folder of the project.
        modules: paths of the modules, in it.
        target: the folder that the shared objects are put into.

    Returns:
        The paths of the shared objects, in the target; first the one that holds the code, which the others import.

    Raises:
        CompileError: if a source cannot be compiled.
    """
    arguments = [sys.executable, str(Path(__file__).resolve()), "--into", str(target), *modules]
    # In a process of its own: mypyc ends the process when it finds a fault. mypy finds modules by the working folder.
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603  it is this file
    made = sorted(path.relative_to(target).as_posix() for path in target.rglob(f"*{SUFFIX}"))
    code = f"{_package(modules)}__mypyc{SUFFIX}"
    wanted = {code, *(module.removesuffix(".py") + SUFFIX for module in modules)}
    if done.returncode or not wanted <= set(made):
        lines = (done.stdout + done.stderr).splitlines()
        faults = [line for line in lines if "error" in line.lower()] or lines
        raise CompileError(faults or [f"the compiler ended with status {done.returncode}"])
    return [code, *sorted(wanted - {code})]


def _build_here(target: Path, modules: Sequence[str]) -> None:
    """Compile modules of the working folder into a target; ends the process when there is a fault."""
    from mypyc.build import mypycify  # noqa: PLC0415  only the process that compiles needs them, and has them
    from setuptools.dist import Distribution  # noqa: PLC0415  the same

    with tempfile.TemporaryDirectory() as folder:
        extensions = mypycify(
            [*MYPY_OPTIONS, *modules],
            opt_level="3",
            debug_level="0",
            group_name=_package(modules),
            target_dir=folder,
        )
        distribution = Distribution({"ext_modules": extensions})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(target), folder
        distribution.run_command("build_ext")


def compile_in_place(
    root: Path, modules: Sequence[str] = COMPILED, *, again: bool = False, say: Callable[[str], None] = print
) -> bool:
    """Put the compiled modules beside their sources, unless they are there and nothing has changed.

    Args:
        root: the folder of the project.
        modules: paths of the modules, in it.
        again: whether to compile what has not changed, too.
        say: is given what a person should know, in one line.

    Returns:
        Whether the compiled form is there. When it is not, the sources run, which is no fault.
    """
    if reason := why_not():
        say(f"not compiled: {reason}; plain Python runs, only slower")
        return False
    with _alone(root):
        stamp = _stamp(root, modules)
        if not again and (known := _known(root, modules, stamp)) is not None:
            if known:
                say(f"not compiled, as before: {known}; plain Python runs, only slower (./dev compile tries again)")
            return not known
        say("compiling the hot modules (half a minute) ...")
        with tempfile.TemporaryDirectory(dir=_build_folder(root)) as folder:
            try:
                made, error = build(root, modules, Path(folder)), ""
            except CompileError as fault:
                made, error = [], str(fault)
                for line in fault.faults if again else ():
                    say(line)
                say(f"not compiled: {error}; plain Python runs, only slower")
            if _stamp(root, modules) != stamp:
                say("a source was changed meanwhile: nothing is put in place; compile again")
                return False
            _put(root, modules, Path(folder), made, stamp | {"error": error})
    return not error


def _put(root: Path, modules: Sequence[str], built: Path, made: Sequence[str], stamp: dict[str, Any]) -> None:
    """Replace what is in place; whenever this is ended, what is there is whole and agrees with the stamp."""
    package = root / _package(modules)
    for old in (*package.rglob("*.so"), *root.glob(f"{package.name}__mypyc.*.so")):
        old.unlink()
    new = built / STAMP
    new.write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")
    new.replace(package / STAMP)
    for name in made:  # the code first: the others import it
        (built / name).replace(root / name)


def _known(root: Path, modules: Sequence[str], stamp: dict[str, Any]) -> str | None:
    """What the last compilation of these very sources came to: an error, none (empty); None when there was none."""
    try:
        last = json.loads((root / _package(modules) / STAMP).read_bytes())
    except (OSError, ValueError):
        return None
    error = last.pop("error", None)
    if last != stamp or error is None:
        return None
    names = [f"{_package(modules)}__mypyc{SUFFIX}", *(module.removesuffix(".py") + SUFFIX for module in modules)]
    return str(error) if error or all((root / name).is_file() for name in names) else None


def _stamp(root: Path, modules: Sequence[str]) -> dict[str, Any]:
    """What a compilation depends on."""
    try:
        compiler = metadata.version("mypy")
    except metadata.PackageNotFoundError:
        compiler = ""
    sources = {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in sources_of(root, modules)}
    return {"suffix": SUFFIX, "mypy": compiler, "modules": list(modules), "sources": sources}


def _package(modules: Sequence[str]) -> str:
    return modules[0].partition("/")[0]


def _build_folder(root: Path) -> Path:
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One compilation at a time: two test runs may begin together."""
    with (_build_folder(root) / "compile.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class CompileHook(BuildHookInterface[Any]):
    """What hatchling calls when it makes a wheel, or an editable one (`pip install -e .`)."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile: in place for an editable installation, else into the wheel, which then is for this platform only.

        Args:
            version: "editable" or "standard".
            build_data: what the wheel is made of; see hatchling.
        """
        root = Path(self.root)
        if version == "editable":
            compile_in_place(root, say=self.app.display_info)
            return
        if reason := why_not():
            self.app.display_warning(f"not compiled: {reason}; the wheel is plain Python")
            return
        self._built = tempfile.TemporaryDirectory()
        try:
            made = build(root, COMPILED, Path(self._built.name))
        except CompileError as fault:
            self.app.display_warning(f"not compiled: {fault}; the wheel is plain Python")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update({str(Path(self._built.name, name)): name for name in made})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's
        """Remove what was compiled for a wheel, which holds it now."""
        if built := getattr(self, "_built", None):
            built.cleanup()


def _main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--into"]:
        _build_here(Path(arguments[1]), arguments[2:])
    else:
        again = arguments == ["--again"]
        done = compile_in_place(Path(__file__).resolve().parent, again=again, say=_say)
        sys.exit(int(again and not done))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
