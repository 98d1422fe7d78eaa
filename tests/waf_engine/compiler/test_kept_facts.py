"""A plan made from facts of an earlier start is the plan made anew; what cannot be believed is worked out again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waf_engine import WAF
from waf_engine.compiler import facts, kept_facts
from waf_engine.compiler.alphabet import idle_bytes
from waf_engine.compiler.facts import Facts
from waf_engine.compiler.kept_facts import KIND, _load, _written, facts_of
from waf_engine.compiler.restrict import restrict
from waf_engine.runtime.databases import DatabaseCache
from waf_engine.runtime.kept_files import write_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.database import Database, Numbered

RULES = "SecRuleEngine On\n" + "\n".join(
    f'SecRule ARGS|REQUEST_HEADERS "@rx (?i)word{n}[\'<]*x(?:on|end{n}+)" "id:{n},phase:2,deny"' for n in range(1, 81)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether anything had to be worked out, for each plan."""
    found: list[bool] = []

    class Watched(Facts):
        def __init__(self, known: object = None) -> None:
            super().__init__(known)  # type: ignore[arg-type]  # passed on
            found.append(False)

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "grown" and value:
                found[-1] = True

    monkeypatch.setattr(kept_facts, "Facts", Watched)
    return found


def kept(folder: Path) -> Path:
    (path,) = folder.glob("*.facts")
    return path


def wanted_by(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Numbered]]:
    """What goes into the databases of the rules."""
    asked: list[Sequence[Numbered]] = []
    original = DatabaseCache.databases

    def databases(self: DatabaseCache, groups: Sequence[Sequence[Numbered]]) -> list[Database]:
        asked.extend(groups)
        return original(self, groups)

    with monkeypatch.context() as patched:
        patched.setattr(DatabaseCache, "databases", databases)
        WAF.from_directives(RULES, cache_folder=folder)
    return asked


def test_a_plan_made_from_kept_facts_is_the_plan_made_anew(
    folder: Path, worked_out: list[bool], monkeypatch: pytest.MonkeyPatch
):
    anew, again = wanted_by(folder, monkeypatch), wanted_by(folder, monkeypatch)

    assert worked_out == [True, False]
    assert anew == again
    assert sum(map(len, anew)) > 150  # of all patterns, and as they are on smaller alphabets
    assert kept(folder).stat().st_mode & 0o077 == 0


def test_facts_that_others_can_write_are_not_believed(folder: Path, worked_out: list[bool]):
    load = partial(WAF.from_directives, RULES, cache_folder=folder)
    load()
    kept(folder).chmod(0o666)
    load()
    load()

    assert worked_out == [True, True, False]


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'[["a",[["n"]]]]', b'{"a":1}', b'[["\\u1234",[]]]', b"\xff"])
def test_what_cannot_be_read_is_worked_out(folder: Path, worked_out: list[bool], content: bytes):
    WAF.from_directives(RULES, cache_folder=folder)
    write_kept(kept(folder), KIND, content)
    WAF.from_directives(RULES, cache_folder=folder)
    WAF.from_directives(RULES, cache_folder=folder)

    assert worked_out == [True, True, False]


def test_damage_is_seen(folder: Path, worked_out: list[bool]):
    WAF.from_directives(RULES, cache_folder=folder)
    path = kept(folder)
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"X" + content[-8:])
    WAF.from_directives(RULES, cache_folder=folder)

    assert worked_out == [True, True]
    assert path.read_bytes() == content


def test_other_code_finds_facts_of_its_own(
    folder: Path, worked_out: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    WAF.from_directives(RULES, cache_folder=folder)
    changed = tmp_path / "changed.py"
    changed.write_text("# another version", "utf-8")
    monkeypatch.setitem(facts._sources, "waf_engine.compiler.restrict", changed)
    WAF.from_directives(RULES, cache_folder=folder)

    assert worked_out == [True, True]
    assert len(list(folder.glob("*.facts"))) == 2


def test_code_that_cannot_be_read_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(facts._sources, "waf_engine.compiler.restrict", Path("/nowhere/restrict.py"))
    WAF.from_directives(RULES, cache_folder=folder)

    assert list(folder.glob("*.facts")) == []


def test_without_patterns_or_a_folder_nothing_is_kept(folder: Path):
    plan = WAF.from_directives(RULES, executor="reference").plan
    with facts_of(plan.rules, None):
        idle_bytes(b"abc<")
    with facts_of((), folder):
        idle_bytes(b"abc<")

    assert not folder.exists()


def test_a_disk_that_takes_nothing_is_no_fault(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")

    assert WAF.from_directives(RULES, cache_folder=tmp_path / "file").plan.rule_count == 80


@given(st.dictionaries(st.binary(max_size=9), st.lists(st.binary(max_size=9), max_size=3), max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, asked: dict[bytes, list[bytes]]):
    found = Facts()
    with found.in_use():
        for pattern, alphabets in asked.items():
            idle_bytes(pattern)
            for letters in alphabets:
                restrict(pattern, frozenset(letters))
    path = tmp_path_factory.mktemp("cache") / "some.facts"
    write_kept(path, KIND, _written(found))

    assert _load(path) == found.known
