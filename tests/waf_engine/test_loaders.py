"""Includes, globs, embedded trees, roots and data files, on real folders."""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING

import pytest

from waf_engine import WAF, SecLangError, loaders
from waf_engine.diagnostics import ArgumentError, Severity, Span
from waf_engine.loaders import EMBEDDED, Loaded, load_files, load_text, note_sources, read_data_file
from waf_engine.seclang.ast import SecMarker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def labels(loaded: Loaded) -> list[str]:
    return [node.label for node in loaded.nodes if isinstance(node, SecMarker)]


def faults(loaded: Loaded) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in loaded.diagnostics]


def test_includes_are_expanded_in_place(tmp_path: Path):
    write(
        tmp_path,
        {
            "main.conf": "SecMarker a\nInclude sub/b.conf\nSecMarker e\nInclude 'f g.conf'\n",
            "sub/b.conf": "SecMarker b\ninclude ./c.conf\nSecMarker d\n",
            "sub/c.conf": "SecMarker c\n",
            "f g.conf": "SecMarker f\n",
        },
    )
    loaded = load_files([tmp_path / "main.conf"])

    assert labels(loaded) == ["a", "b", "c", "d", "e", "f"]
    assert loaded.diagnostics == ()
    assert loaded.files == tuple(str(tmp_path / name) for name in ("main.conf", "sub/b.conf", "sub/c.conf", "f g.conf"))
    assert [node.span.file for node in loaded.nodes][2] == str(tmp_path / "sub/c.conf")


def test_a_glob_gives_files_sorted_by_name_and_no_folders(tmp_path: Path):
    write(tmp_path, {"b.conf": "SecMarker b", "a.conf": "SecMarker a", "c.conf/x": "", "d.txt": "", ".e.conf": ""})

    assert labels(load_text("Include *.conf", root=tmp_path)) == ["a", "b"]
    assert labels(load_files([f"{tmp_path}/*.conf"])) == ["a", "b"]
    assert labels(load_files([f"{tmp_path}/[b].conf"])) == ["b"]


def test_names_are_relative_to_the_including_file_then_to_the_root(tmp_path: Path):
    write(
        tmp_path,
        {
            "main.conf": "Include sub/x.conf",
            "sub/x.conf": "Include near.conf\nInclude far.conf\nInclude n*.conf\nInclude f*.conf",
            "sub/near.conf": "SecMarker sub/near",
            "near.conf": "SecMarker near",
            "far.conf": "SecMarker far",
        },
    )

    assert labels(load_files(["main.conf"], root=tmp_path)) == ["sub/near", "far", "sub/near", "far"]


def test_without_a_root_names_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, {"a.conf": "SecMarker a", "sub/b.conf": "Include ../a.conf\nInclude a.conf"})
    monkeypatch.chdir(tmp_path)
    loaded = load_files(["a.conf", "sub/b.conf"])

    assert labels(loaded) == ["a", "a", "a"]
    assert loaded.files == ("a.conf", "sub/b.conf", "sub/../a.conf")


def test_a_name_with_brackets_is_a_file_if_there_is_one(tmp_path: Path):
    write(tmp_path, {"[a].conf": "SecMarker brackets", "a.conf": "SecMarker a"})

    assert labels(load_text("Include [a].conf", root=tmp_path)) == ["brackets"]


def test_a_folder_s_own_name_is_no_pattern(tmp_path: Path):
    write(tmp_path, {"[x]/main.conf": "Include *.inc", "[x]/a.inc": "SecMarker a"})

    assert labels(load_files([tmp_path / "[x]" / "main.conf"])) == ["a"]


def test_a_missing_file_is_an_error_where_it_is_included(tmp_path: Path):
    write(tmp_path, {"main.conf": "SecMarker a\n Include nope.conf\nSecMarker b"})
    loaded = load_files(["main.conf"], root=tmp_path)
    [fault] = loaded.diagnostics

    assert labels(loaded) == ["a", "b"]
    assert fault.severity is Severity.ERROR
    assert (fault.code, fault.message) == ("no-such-file", "there is no file nope.conf")
    assert fault.span == Span(str(tmp_path / "main.conf"), 2, 10)
    assert fault.source_line == " Include nope.conf"
    assert fault.hint == f"looked in {tmp_path}"


def test_a_missing_first_file_is_an_error(tmp_path: Path):
    [fault] = load_files([tmp_path / "nope.conf"]).diagnostics

    assert (fault.code, fault.span) == ("no-such-file", Span(str(tmp_path / "nope.conf"), 1))
    assert fault.render()


def test_a_glob_without_a_match_only_warns(tmp_path: Path):
    [fault] = load_text("Include no/*.conf", root=tmp_path).diagnostics

    assert (fault.severity, fault.code, fault.message) == (
        Severity.WARNING,
        "nothing-included",
        "no file matches no/*.conf",
    )
    assert fault.source_line == "Include no/*.conf"


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    [fault] = load_text("Include rules/", root=tmp_path).diagnostics

    assert fault.message == "rules/ is a folder, expected a file"
    assert fault.hint == "write rules/*.conf"


@pytest.mark.parametrize(("text", "count"), [("Include", 0), ("Include a.conf b.conf", 2)])
def test_include_takes_one_argument(text: str, count: int):
    assert faults(load_text(text)) == [("bad-include", f"Include takes one file or glob, got {count}")]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "a\udcff"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path):
    assert [d.code for d in load_text(f"Include {name}", root=tmp_path).diagnostics] == ["no-such-file"]


def test_a_cycle_shows_its_chain(tmp_path: Path):
    write(tmp_path, {"a.conf": "Include b.conf\nSecMarker a", "b.conf": "Include a.conf"})
    loaded = load_files([tmp_path / "a.conf"])
    a, b = tmp_path / "a.conf", tmp_path / "b.conf"

    assert faults(loaded) == [("include-cycle", f"include cycle: {a} -> {b} -> {a}")]
    assert loaded.diagnostics[0].span == Span(str(b), 1, 9)
    assert labels(loaded) == ["a"]


def test_a_cycle_through_a_link_is_one_too(tmp_path: Path):
    write(tmp_path, {"a.conf": "Include b.conf"})
    (tmp_path / "b.conf").symlink_to(tmp_path / "a.conf")

    assert [d.code for d in load_files([tmp_path / "a.conf"]).diagnostics] == ["include-cycle"]


def test_a_file_may_be_included_twice_but_its_faults_are_told_once(tmp_path: Path):
    write(tmp_path, {"a.conf": "SecMarker a\nSecRule"})
    loaded = load_text("Include a.conf\nInclude a.conf", root=tmp_path)

    assert labels(loaded) == ["a", "a"]
    assert [d.code for d in loaded.diagnostics] == ["missing-variables"]
    assert loaded.files == (str(tmp_path / "a.conf"),)


def test_the_depth_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loaders, "MAX_DEPTH", 5)
    write(tmp_path, {f"{n}.conf": f"SecMarker m{n}\nInclude {n + 1}.conf" for n in range(8)})
    loaded = load_files([tmp_path / "0.conf"])

    assert labels(loaded) == ["m0", "m1", "m2", "m3", "m4"]
    assert faults(loaded) == [("include-depth", "files include each other more than 5 deep")]


def test_the_full_depth_works(tmp_path: Path):
    write(tmp_path, {f"{n}.conf": f"SecMarker m{n}\nInclude {n + 1}.conf" for n in range(loaders.MAX_DEPTH + 1)})
    loaded = load_files([tmp_path / "0.conf"])

    assert len(loaded.nodes) == loaders.MAX_DEPTH
    assert [d.code for d in loaded.diagnostics] == ["include-depth"]


def test_the_number_of_files_is_bounded(tmp_path: Path):
    """Ten files that include the next one ten times would be ten thousand million files."""
    write(tmp_path, {f"{n}.conf": f"Include {n + 1}.conf\n" * 10 for n in range(10)} | {"10.conf": "SecMarker x"})
    loaded = load_files([tmp_path / "0.conf"])

    assert len(loaded.nodes) < loaders.MAX_FILES
    assert [d.code for d in loaded.diagnostics] == ["too-many-files"]


def test_the_characters_of_all_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loaders, "MAX_TOTAL", 100)
    write(tmp_path, {"a.conf": "SecMarker " + "a" * 60})
    loaded = load_text("Include a.conf\nInclude a.conf\nInclude a.conf", root=tmp_path)

    assert len(loaded.nodes) == 1
    assert [d.code for d in loaded.diagnostics] == ["too-many-files"]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loaders, "MAX_SOURCE_BYTES", 10)
    write(tmp_path, {"a.conf": "SecMarker too-long"})

    assert faults(load_text("Include a.conf", root=tmp_path)) == [
        ("file-too-large", f"{tmp_path / 'a.conf'} has more than 10 bytes")
    ]


def test_a_file_that_is_no_utf_8_text_is_refused(tmp_path: Path):
    (tmp_path / "a.conf").write_bytes("SecMarker a".encode("utf-16"))

    assert [d.code for d in load_text("Include a.conf", root=tmp_path).diagnostics] == ["not-utf-8"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Tests may run as root, whom permissions do not stop: the refusal is made here."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    write(tmp_path, {"a.conf": "SecMarker a"})
    monkeypatch.setattr("pathlib.Path.open", refuse)
    monkeypatch.setattr("pathlib.Path.is_file", refuse)

    assert faults(load_files([tmp_path / "a.conf"])) == [
        ("unreadable-file", f"cannot read {tmp_path / 'a.conf'}: permission denied")
    ]


def test_nothing_outside_of_the_root_is_read(tmp_path: Path):
    write(tmp_path, {"out.conf": "SecMarker out", "root/in.conf": "SecMarker in"})
    root = tmp_path / "root"
    (root / "link.conf").symlink_to(tmp_path / "out.conf")
    text = f"Include in.conf\nInclude ../out.conf\nInclude {tmp_path}/out.conf\nInclude link.conf\nInclude ../*.conf"
    loaded = load_text(text, root=root)

    assert labels(loaded) == ["in"]
    assert [(d.code, d.span.line) for d in loaded.diagnostics] == [("outside-root", line) for line in (2, 3, 4, 5)]
    assert loaded.diagnostics[0].message == f"../out.conf lies outside of {root}"


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Path]:
    rules = tmp_path / "package"
    write(
        rules,
        {
            "10-a.conf": 'SecMarker a\nInclude 20-b.conf\nSecRule ARGS "@pmFromFile words.data" "id:1"',
            "20-b.conf": "SecMarker b",
            "recommended.conf": "SecMarker r",
            "words.data": "one\n",
            "more/c.conf": "SecMarker c",
        },
    )
    return {"@baseline/": rules, "@recommended.conf": rules / "recommended.conf"}


def test_embedded_names(tree: dict[str, Path], tmp_path: Path):
    loaded = load_text("Include @recommended.conf\nInclude @baseline/*.conf", root=tmp_path / "x", embedded=tree)

    assert labels(loaded) == ["r", "a", "b", "b"]
    assert loaded.diagnostics == ()
    assert loaded.files == ("@recommended.conf", "@baseline/10-a.conf", "@baseline/20-b.conf")
    assert loaded.nodes[1].span == Span("@baseline/10-a.conf", 1)
    assert labels(load_files(["@baseline/more/c.conf"], embedded=tree)) == ["c"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("@baseline/nope.conf", "there is no embedded file @baseline/nope.conf"),
        ("@baseline/../secret.conf", "there is no embedded file @baseline/../secret.conf"),
        ("@other.conf", "there is no embedded file @other.conf"),
        ("@baseline/", "there is no embedded file @baseline/"),
        ("@other/*.conf", "there is no embedded tree for @other/*.conf"),
        ("@baseline/../*.conf", "there is no embedded tree for @baseline/../*.conf"),
    ],
)
def test_unknown_embedded_names(name: str, message: str, tree: dict[str, Path], tmp_path: Path):
    write(tmp_path, {"secret.conf": "SecMarker secret"})
    loaded = load_text(f"Include {name}", embedded=tree)

    assert labels(loaded) == []
    assert faults(loaded) == [("no-such-file", message)]
    assert "@baseline/" in loaded.diagnostics[0].hint


def test_an_embedded_file_includes_from_the_root_what_its_tree_has_not(tree: dict[str, Path], tmp_path: Path):
    write(tree["@baseline/"], {"30-site.conf": "Include site.conf\nInclude 2*.conf"})
    write(tmp_path, {"root/site.conf": "SecMarker site"})

    assert labels(load_files(["@baseline/30-site.conf"], root=tmp_path / "root", embedded=tree)) == ["site", "b"]


PLUGINS = {
    "plugins/shop-config.conf": "SecMarker shop-config",
    "plugins/shop-before.conf": "SecMarker shop-before",
    "plugins/shop-after.conf": "SecMarker shop-after",
    "plugins/wiki-before.conf": "SecMarker wiki-before",
    "plugins/log-after.conf": "SecMarker log-after",
}


def test_a_plugin_has_its_parts_before_and_after_all_else(tmp_path: Path):
    write(tmp_path, PLUGINS | {"rules.conf": "Include @p/shop\nSecMarker rules", "end.conf": "SecMarker end"})
    text = "Include @p/wiki\nInclude rules.conf\nInclude @p/log\nInclude @p/shop\nInclude end.conf"
    loaded = load_text(text, root=tmp_path, embedded={"@p/": tmp_path / "plugins"})
    before = ["shop-config", "shop-before"]

    assert loaded.diagnostics == ()
    assert labels(loaded) == ["wiki-before", *before, "rules", *before, "end", "shop-after", "log-after"]
    names = ("wiki-before", "shop-config", "shop-before", "shop-after", "log-after")
    assert [name for name in loaded.files if name.startswith("@")] == [f"@p/{name}.conf" for name in names]
    assert labels(load_files(["@p/shop", str(tmp_path / "end.conf")], embedded={"@p/": tmp_path / "plugins"})) == [
        *before,
        "end",
        "shop-after",
    ]


def test_a_plugin_that_is_not_there(tmp_path: Path):
    write(tmp_path, PLUGINS)
    loaded = load_text("Include @p/none\nInclude @p/../plugins/shop", embedded={"@p/": tmp_path / "plugins"})

    assert [code for code, _ in faults(loaded)] == ["no-such-file"] * 2


def test_the_default_trees_are_the_package_s_rules():
    assert list(EMBEDDED) == ["@baseline/", "@recommended.conf", "@coraza.conf-recommended"]
    assert all(path.exists() for path in EMBEDDED.values())
    assert EMBEDDED["@baseline/"].name == "rules"
    assert EMBEDDED["@recommended.conf"].parent == EMBEDDED["@baseline/"]


def test_positions_of_a_text():
    loaded = load_text("\n SecRule", name="my text")

    assert loaded.diagnostics[0].span == Span("my text", 2, 9)
    assert loaded.files == ()


def test_data_files_are_looked_for_beside_the_rule_then_in_the_root(tmp_path: Path):
    write(tmp_path, {"near.data": "root", "far.data": "far", "sub/near.data": "near"})
    rule = str(tmp_path / "sub/rules.conf")

    assert read_data_file("near.data", rule, tmp_path) == b"near"
    assert read_data_file("far.data", rule, tmp_path) == b"far"
    assert read_data_file("sub/near.data", "<directives>", tmp_path) == b"near"
    assert read_data_file(str(tmp_path / "far.data"), rule) == b"far"


def test_data_files_of_embedded_rules(tree: dict[str, Path]):
    assert read_data_file("words.data", "@baseline/10-a.conf", embedded=tree) == b"one\n"
    assert read_data_file("@baseline/words.data", "<directives>", embedded=tree) == b"one\n"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("nope.data", "no-such-file", "there is no file nope.data"),
        ("", "no-such-file", "a file's name is empty or has a NUL byte"),
        ("../out.data", "outside-root", "../out.data lies outside of"),
        ("https://example.org/words", "no-url", "https://example.org/words is a URL, expected a file"),
        (".", "no-such-file", ". is a folder, expected a file"),
    ],
)
def test_data_files_that_are_refused(name: str, code: str, message: str, tmp_path: Path):
    write(tmp_path, {"out.data": "secret", "root/x": ""})

    with pytest.raises(ArgumentError) as caught:
        read_data_file(name, "<directives>", tmp_path / "root")

    assert caught.value.code == code
    assert caught.value.message.startswith(message)


def test_data_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loaders, "MAX_SOURCE_BYTES", 4)
    write(tmp_path, {"a": "1234", "b": "12345"})

    assert read_data_file("a", "<directives>", tmp_path) == b"1234"
    with pytest.raises(ArgumentError, match="has more than 4 bytes"):
        read_data_file("b", "<directives>", tmp_path)


@pytest.mark.corpora
def test_crs_loads_by_its_usual_includes(corpora: Path):
    loaded = load_text("Include crs-setup.conf\nInclude rules/*.conf", root=corpora / "crs")

    assert loaded.diagnostics == ()
    assert (len(loaded.files), len(loaded.nodes)) == (28, 794)
    assert b"sqlmap\n" in read_data_file("scanners-user-agents.data", loaded.files[5], corpora / "crs")


@pytest.mark.corpora
def test_coraza_s_samples_of_includes(corpora: Path):
    samples = corpora / "corpora/coraza-misc/internal/seclang/testdata"
    loaded = load_files([samples / "includes/parent.conf", samples / "glob/*.conf"])

    assert loaded.diagnostics == ()
    assert [file.removeprefix(f"{samples}/") for file in loaded.files] == [
        "includes/parent.conf",
        "includes/postdirectives.conf",
        "includes/subinclude/rules1.conf",
        "includes/subinclude/rules3.conf",
        "includes/subinclude/rules2.conf",
        "glob/rules1.conf",
        "glob/rules2.conf",
    ]
    assert len(loaded.nodes) == 9


def test_what_was_looked_at_is_noted(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.conf").write_text('SecRule ARGS "@pmFromFile words.txt" "id:1,phase:1,pass"')
    (tmp_path / "rules" / "words.txt").write_text("attack")
    with note_sources() as outer:
        with note_sources() as sources:
            WAF.from_directives("Include rules/*.conf", root=tmp_path, executor="reference")
        before = set(outer.files)
        with pytest.raises(SecLangError):
            WAF.from_files(["@recommended.conf", "faulty.conf"], root=tmp_path, executor="reference")
    WAF.from_directives("Include rules/a.conf", root=tmp_path, executor="reference")

    assert sources.files == before == {str(tmp_path / "rules" / name) for name in ("a.conf", "words.txt")}
    assert sources.globs == {glob.escape(str(tmp_path)) + "/rules/*.conf"}
    assert outer.files == before | {str(EMBEDDED["@recommended.conf"])}, "also of rules that cannot be used"


def test_a_glob_of_too_many_folders_is_refused(tmp_path: Path):
    assert faults(load_text("Include " + "*/" * 3000 + "*.conf", root=tmp_path)) == [
        ("bad-include", "a glob names at most 50 folders, one in the other")
    ]
